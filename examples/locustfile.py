"""Users of the shop: each logs in once, then looks at items and adds one now and then."""

import random

from locust import FastHttpUser, between, task


class Shopper(FastHttpUser):
    wait_time = between(0.05, 0.15)

    def on_start(self):
        token = self.client.post("/login", json={"user": "ada"}).json()["token"]
        self.headers = {"Authorization": f"Bearer {token}"}

    @task(4)
    def look(self):
        self.client.get(f"/items/{random.randint(1, 100)}", name="/items/{n}")

    @task
    def add(self):
        with self.client.post("/items", json={"name": "pencil"}, headers=self.headers, catch_response=True) as answer:
            if answer.status_code != 201:
                answer.failure(f"status {answer.status_code}")
