"""The shop in FastAPI."""

from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

app = FastAPI()
ITEMS = [{"id": number, "name": f"item {number}"} for number in range(1, 101)]


class Login(BaseModel):
    user: str


class NewItem(BaseModel):
    name: str


@app.get("/health")
async def health():
    return {"ok": True}


@app.post("/login")
async def login(said: Login):
    return {"token": f"token of {said.user}"}


@app.get("/items/{number}")
async def item(number: int):
    return ITEMS[number - 1]


@app.post("/items", status_code=201)
async def add(new: NewItem, authorization: Annotated[str, Header()] = ""):
    if not authorization.startswith("Bearer token of "):
        raise HTTPException(401, "log in first")
    return {"id": 101, "name": new.name}
