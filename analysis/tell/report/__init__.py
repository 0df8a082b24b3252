"""report.html: its parts as plain values, the tables and captions that fill them, and the page."""
