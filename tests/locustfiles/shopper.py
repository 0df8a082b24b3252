"""Logs in at its start, then browses and posts."""

from locust import HttpUser, between, task
from locust.exception import StopUser


class Shopper(HttpUser):
    wait_time = between(0.05, 0.15)

    def on_start(self):
        self.client.headers["Connection"] = "close"  # an answer that is cut short then ends with its connection
        self.client.post("/login", json={"user": "foo", "password": "bar"})

    @task(2)
    def browse(self):
        self.client.get("/items")

    @task
    def post(self):
        self.client.post("/items", json={"text": "x" * 100}, name="/items (post)")


class BriskShopper(Shopper):
    wait_time = between(0.02, 0.04)


class ManyShopper(Shopper):
    wait_time = between(0.4, 1.2)


class LeavingShopper(Shopper):
    """Each user ends itself some seconds after its start."""

    rounds = 0

    @task(3)
    def leave(self):
        self.rounds += 1
        if self.rounds > 20:
            raise StopUser
