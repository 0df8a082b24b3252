"""The lean client: users on bare sockets and the watchers of gevent's hub."""
