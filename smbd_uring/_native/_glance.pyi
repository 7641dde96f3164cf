from typing import Any

from smbd_uring.ports import Buffer

def read_glance(frame: Buffer, glance: type[Any], one_asked: type[Any], parameters: type[Any]) -> Any: ...
def lay_out_answers(
    glance: tuple[Any, ...],
    answer: tuple[Any, ...],
    file_id: tuple[int, int],
    credits: tuple[int, int, int],
    signs: tuple[int, int, int],
) -> list[bytes]: ...
