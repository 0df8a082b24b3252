"""A locustfile with one user class for each kind that Locust's documentation shows, written anew."""

from __future__ import annotations

import random
import time

from locust import (
    FastHttpUser,
    HttpUser,
    SequentialTaskSet,
    TaskSet,
    between,
    constant,
    constant_pacing,
    constant_throughput,
    events,
    tag,
    task,
)
from locust.clients import HttpSession

from helpers import item_number  # lies beside it

LISTENED = []


@events.test_start.add_listener
def note_start(**_):
    """A listener that takes nothing over."""
    LISTENED.append(time.time())


class Basic(HttpUser):
    weight = 3
    wait_time = between(0.05, 0.15)

    @tag("run")
    @task(3)
    def index(self):
        self.client.get("/basic")

    @tag("run")
    @task
    def about(self):
        self.client.get("/basic/about")


class InOrder(HttpUser):
    wait_time = constant(0.05)

    @task
    class Steps(SequentialTaskSet):
        @tag("run")
        @task
        def first(self):
            self.seen = ["first"]
            self.client.get("/sequential/1")

        @tag("run")
        @task
        def second(self):
            self.seen.append("second")
            self.client.get("/sequential/2")

        @tag("run")
        @task
        def last(self):
            assert self.seen == ["first", "second"]
            self.client.get("/sequential/3")


class Forum(TaskSet):
    def on_start(self):
        self.client.get("/nested/enter")

    @tag("run")
    @task(5)
    def read(self):
        self.client.get("/nested/thread")

    @tag("run")
    @task
    def leave(self):
        self.interrupt(reschedule=random.random() < 0.5)


class Nested(HttpUser):
    wait_time = between(0.02, 0.06)
    tasks = {Forum: 2}

    @tag("run")
    @task
    def top(self):
        self.client.get("/nested/top")


class Tagged(HttpUser):
    wait_time = constant(0.1)

    @tag("run")
    @task
    def wanted(self):
        self.client.get("/tagged")

    @tag("never")
    @task(100)
    def unwanted(self):
        raise AssertionError("its tag isn't among the plan's")


class OwnWait(HttpUser):
    last_wait = 0.0

    def wait_time(self):
        self.last_wait = 0.1 if self.last_wait == 0.05 else 0.05
        return self.last_wait

    @tag("run")
    @task
    def ask(self):
        self.client.get("/own-wait")


class Fast(FastHttpUser):
    wait_time = between(0.05, 0.15)

    @tag("run")
    @task
    def ask(self):
        self.client.get("/fast")


class OwnSession(HttpSession):
    """Sends a key, and answers a 401 by asking once more with another one."""

    def request(self, method, url, **options):
        options["headers"] = {**options.get("headers", {}), "X-Key": "secret"}
        return super().request(method, url, **options)


class OwnClient(HttpUser):
    wait_time = constant(0.1)

    def __init__(self, environment):
        super().__init__(environment)
        self.client = OwnSession(base_url=self.host, request_event=environment.events.request, user=self)

    @tag("run")
    @task
    def ask(self):
        assert self.client.get("/needs-key").status_code == 200


class Parameters(HttpUser):
    wait_time = constant(0.1)

    @tag("run")
    @task
    def item(self):
        self.client.get(f"/items/{item_number()}?page={random.randint(1, 9)}", name="/items/[id]?page=[page]")


class Catching(FastHttpUser):
    wait_time = constant(0.1)

    @tag("run")
    @task
    def absent(self):
        with self.client.get("/absent", catch_response=True) as response:
            if response.status_code == 404:
                response.success()

    @tag("run")
    @task
    def refused(self):
        with self.client.get("/catch", name="/catch refused", catch_response=True) as response:
            response.failure("this body isn't wanted")


class LoggedIn(HttpUser):
    wait_time = constant_throughput(10)

    def on_start(self):
        answer = self.client.post("/login", json={"user": "foo", "password": "bar"})
        assert answer.status_code == 200

    @tag("run")
    @task
    def post(self):
        assert self.client.post("/post", json={"text": "x" * 100}).status_code == 201

    @tag("run")
    @task
    def redirected(self):
        self.client.get("/old", name="/old")


class Paced(HttpUser):
    wait_time = constant_pacing(0.1)

    @tag("run")
    @task
    def ask(self):
        self.client.get("/paced")
        time.sleep(0.02)  # thinks inside its task


class Raising(HttpUser):
    fixed_count = 1
    wait_time = constant(0.2)

    @tag("run")
    @task
    def ask(self):
        with self.client.get("/raising", catch_response=True):
            raise KeyError("a task of its own")
