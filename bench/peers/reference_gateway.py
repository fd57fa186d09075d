"""The reference style of a gateway: FastAPI and a new httpx client for each request."""

import os

import httpx
from fastapi import FastAPI, Request, Response

UPSTREAM = os.environ["UPSTREAM"]

app = FastAPI()


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def forward(path: str, request: Request) -> Response:
    """Send the request on and the answer back."""
    async with httpx.AsyncClient() as client:
        answer = await client.request(
            request.method, f"{UPSTREAM}/{path}", params=request.query_params, content=await request.body()
        )
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
