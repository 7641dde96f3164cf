"""ECHO: is the server there?"""

from __future__ import annotations

from smbd_uring.engine.request import Request, Response
from smbd_uring.wire.data import EchoRequest, EchoResponse


async def echo(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.17."""
    EchoRequest.decode(request.message)
    return Response(EchoResponse().encode())
