"""The Locust engine: what runs inside Locust's own processes, and nowhere else (importing locust patches sockets)."""
