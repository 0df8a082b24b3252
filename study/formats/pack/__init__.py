"""A campaign as one file, the pack: its list of files with their sums, and the .zip that holds them."""
