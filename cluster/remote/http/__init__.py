"""HTTP/1 and TLS as a client, without Locust: messages, certificates, a look at a server that runs already."""
