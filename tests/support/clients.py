"""One POST with each of the supported client libraries."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import requests
import urllib3

HEADERS = {"x-api-key": "test-key"}
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For httpx in tests without TLS: it would load all certificates of the machine for each client, which takes longer than a call."""

Answer = tuple[int, bytes]


def with_requests(url: str, body: Any) -> Answer:
    response = requests.post(url, json=body, headers=HEADERS, timeout=10)
    return response.status_code, response.content


def with_httpx(url: str, body: Any) -> Answer:
    response = httpx.post(url, json=body, headers=HEADERS, verify=NO_CERTIFICATES)
    return response.status_code, response.content


def with_httpx_async(url: str, body: Any) -> Answer:
    async def call() -> Answer:
        async with httpx.AsyncClient(verify=NO_CERTIFICATES) as client:
            response = await client.post(url, json=body, headers=HEADERS)
            return response.status_code, response.content

    return asyncio.run(call())


def with_urllib3(url: str, body: Any) -> Answer:
    with urllib3.PoolManager() as pool:
        response = pool.request("POST", url, json=body, headers=HEADERS)
        return response.status, response.data


def with_aiohttp(url: str, body: Any) -> Answer:
    async def call() -> Answer:
        async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=HEADERS) as response:
            return response.status, await response.read()

    return asyncio.run(call())


CLIENTS: dict[str, Callable[[str, Any], Answer]] = {
    "requests": with_requests,
    "httpx": with_httpx,
    "httpx async": with_httpx_async,
    "urllib3": with_urllib3,
    "aiohttp": with_aiohttp,
}


def parsed(answer: Answer) -> Any:
    return json.loads(answer[1]) if answer[1] else None
