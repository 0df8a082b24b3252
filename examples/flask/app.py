"""A small shop in Flask: log in, list items, add one. Each example of this directory answers the same requests."""

from flask import Flask, request

app = Flask(__name__)
ITEMS = [{"id": number, "name": f"item {number}"} for number in range(1, 101)]


@app.get("/health")
def health():
    return {"ok": True}


@app.post("/login")
def login():
    return {"token": f"token of {request.get_json()['user']}"}


@app.get("/items/<int:number>")
def item(number):
    return ITEMS[number - 1]


@app.post("/items")
def add():
    if not request.headers.get("Authorization", "").startswith("Bearer token of "):
        return {"error": "log in first"}, 401
    return {"id": 101, "name": request.get_json()["name"]}, 201
