from typing import Any

from smbd_uring.ports import Buffer

def read_glance(frame: Buffer, glance: type[Any], one_asked: type[Any], parameters: type[Any]) -> Any: ...
