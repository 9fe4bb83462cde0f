"""Calls the API with requests and a bearer token. Fails if an answer is another."""

import os
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

API, EMAIL, PASSWORD = (os.environ[name] for name in ("API_URL", "EMAIL", "PASSWORD"))


def connect(**headers):
    """A session that sends a request again after a 429 or 503, when Retry-After says."""
    session = requests.Session()
    session.headers.update({"Accept": "application/json", **headers})
    retry = Retry(total=2, status_forcelist=[429, 503], allowed_methods=None, raise_on_status=False)
    session.mount(API, HTTPAdapter(max_retries=retry))
    return session


guest = connect()
terms = {"device_name": "requests", "abilities[]": ["read:playlist", "write:playlist"]}
token = guest.post(f"{API}/sanctum/token", data={"email": EMAIL, "password": PASSWORD, **terms}).json()["token"]
api = connect(Authorization=f"Bearer {token}")
assert api.get(f"{API}/api/me").json()["user"]["email"] == EMAIL

# A form, JSON and multipart.
private = {"visibility": "Private"}
created = [
    api.post(f"{API}/api/playlist", data={"name": "Form & more", **private}),
    api.post(f"{API}/api/playlist", json={"name": "JSON “ü”", **private}),
    api.post(f"{API}/api/playlist", files={"name": (None, "Multipart"), "visibility": (None, "Private")}),
]
assert [response.status_code for response in created] == [201, 201, 201]
playlists = [response.json()["playlist"] for response in created]
assert [playlist["name"] for playlist in playlists] == ["Form & more", "JSON “ü”", "Multipart"]

arrays = {"include[]": ["user", "tracks"], "fields[playlist][]": ["id", "name"], "fields[user]": "name"}
page = api.get(f"{API}/api/me/playlist", params={**arrays, "sort": "-name", "page[size]": 2}).json()
assert [playlist["name"] for playlist in page["playlists"]] == ["Multipart", "JSON “ü”"]
assert list(page["playlists"][0]) == ["id", "name", "tracks", "user"]
rest = api.get(page["links"]["next"]).json()
assert [playlist["name"] for playlist in rest["playlists"]] == ["Form & more"]

refused = api.post(f"{API}/api/playlist", json={"name": "", **private})
assert refused.status_code == 422
assert refused.json()["errors"] == {"name": ["The name field is required."]}

first = f"{API}/api/playlist/{playlists[0]['id']}"
assert api.put(first, data={"name": "Renamed"}).json()["playlist"]["name"] == "Renamed"
for playlist in playlists:
    api.delete(f"{API}/api/playlist/{playlist['id']}").raise_for_status()
assert api.get(f"{API}/api/me/playlist").json()["playlists"] == []

# More requests than the user may send in a minute: the last one waits.
while not (me := api.get(f"{API}/api/me")).raw.retries.history:
    me.raise_for_status()
assert me.status_code == 200

api.delete(f"{API}/api/me/token/current").raise_for_status()
assert guest.get(f"{API}/api/me").status_code == 401
