"""The shop in Django, in one file."""

import json

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="not a secret", MIDDLEWARE=[])
ITEMS = [{"id": number, "name": f"item {number}"} for number in range(1, 101)]


def health(request):
    return JsonResponse({"ok": True})


def login(request):
    return JsonResponse({"token": f"token of {json.loads(request.body)['user']}"})


def item(request, number):
    return JsonResponse(ITEMS[number - 1])


def add(request):
    if not request.headers.get("Authorization", "").startswith("Bearer token of "):
        return JsonResponse({"error": "log in first"}, status=401)
    return JsonResponse({"id": 101, "name": json.loads(request.body)["name"]}, status=201)


urlpatterns = [
    path("health", health),
    path("login", login),
    path("items/<int:number>", item),
    path("items", add),
]
app = get_wsgi_application()
