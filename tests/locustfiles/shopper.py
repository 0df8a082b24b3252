"""Logs in at its start, then browses and posts."""

import random

from locust import HttpUser, between, task
from locust.exception import StopUser


class Shopper(HttpUser):
    wait_time = between(0.05, 0.15)

    def on_start(self):
        self.client.post("/login", json={"user": "foo", "password": "bar"})

    @task(2)
    def browse(self):
        self.client.get("/items")

    @task
    def post(self):
        self.client.post("/items", json={"text": "x" * 100}, name="/items (post)")


class BriskShopper(Shopper):
    wait_time = between(0.01, 0.03)


class ManyShopper(Shopper):
    wait_time = between(0.4, 1.2)


class LeavingShopper(Shopper):
    @task
    def leave(self):
        if random.random() < 0.1:
            raise StopUser
