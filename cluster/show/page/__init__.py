"""The live page: a campaign in a browser of this machine, from the files that the run writes anyway.

guard -> routes -> event_stream -> views -> watched_campaign -> watched_run -> growing_file: a request is let in, finds
its campaign, and is answered with what its files say at this moment. Nothing is kept that a file doesn't have, but for
the messages and the verdicts of the fab that serves the page.
"""
