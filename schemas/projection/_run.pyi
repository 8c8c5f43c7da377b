from collections.abc import Callable
from typing import Any, Never

class Op:
    END: int
    FIXED: int
    NUMBER: int
    LENGTH: int
    UNION: int
    JUMP: int
    BLOCKS: int
    AGAIN: int
    NONE: int
    BOOLEAN: int
    LONG: int
    TEXT: int
    RAW: int
    ENUM: int
    DECIMAL: int
    CONVERTED: int
    CALL: int
    OPEN: int
    CLOSE: int
    CLASS: int
    BOOLEAN_CLASS: int
    TEXT_CLASS: int
    LONG_CLASS: int
    DECIMAL_CLASS: int
    ENUM_CLASS: int

class Program:
    def __init__(
        self,
        code: list[int],
        constants: tuple[Any, ...],
        fail: Callable[[bytes, int], Never],
        slots: int = 0,
    ) -> None: ...
    def __call__(self, value: bytes, start: int) -> Any: ...
