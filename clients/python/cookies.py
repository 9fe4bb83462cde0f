"""Logs in with requests as a browser does, with cookies. Fails if an answer is another."""

import os
from urllib.parse import unquote
import requests

API, EMAIL, PASSWORD = (os.environ[name] for name in ("API_URL", "EMAIL", "PASSWORD"))


class Browser(requests.Session):
    def request(self, method, url, **options):
        csrf = self.cookies.get("XSRF-TOKEN")
        if csrf is not None:
            self.headers["X-XSRF-TOKEN"] = unquote(csrf)
        return super().request(method, f"{API}{url}", **options)


browser = Browser()
# Without the origin of a first party the server ignores cookies.
browser.headers.update({"Accept": "application/json", "Origin": os.environ["FIRST_PARTY"]})
credentials = {"email": EMAIL, "password": PASSWORD}

assert browser.post("/login", json=credentials).status_code == 419
assert browser.get("/sanctum/csrf-cookie").status_code == 204
refused = browser.post("/login", json={**credentials, "password": "wrong"})
assert refused.status_code == 422 and "email" in refused.json()["errors"]
assert browser.post("/login", data=credentials).json() == {"two_factor": False}
assert browser.get("/api/me").json()["user"]["email"] == EMAIL

created = browser.post("/api/playlist", json={"name": "In a session", "visibility": "Private"})
assert created.status_code == 201
playlist = f"/api/playlist/{created.json()['playlist']['id']}"
assert browser.delete(playlist).status_code == 200

assert browser.post("/logout").status_code == 204
assert browser.get("/api/me").status_code == 401
