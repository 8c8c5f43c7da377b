# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Runs the program of a projection over bytes: the compiled twin of what `schemas.projection` generates.

Encoding: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset

from decimal import Decimal

cdef enum:
    MAX_DEPTH = 64
    MAX_SLOTS = 64

# What a program is made of; each is followed by its operands.
cpdef enum Op:
    END
    FIXED  # bytes to step over
    NUMBER
    LENGTH
    UNION  # number of branches, where each begins
    JUMP  # where to
    BLOCKS  # depth, where it ends, 1 where its items take bytes
    AGAIN  # depth, where an item begins, where a block does
    NONE  # name
    BOOLEAN  # name
    LONG  # name
    TEXT  # name
    RAW  # name
    ENUM  # name, symbols
    DECIMAL  # name, scale, precision, function of the unscaled bytes
    CONVERTED  # name, function of the number
    CALL  # name, function of (value, start) that returns what it read, and where that ends
    OPEN  # name
    CLOSE
    CLASS  # slot, class
    BOOLEAN_CLASS  # slot, class of false; that of true is the next
    TEXT_CLASS  # slot, classes by text, function of a text that gives its class or None
    LONG_CLASS  # slot, first class, bounds
    DECIMAL_CLASS  # slot, first class, bounds, precision
    ENUM_CLASS  # slot, classes by place of the symbol


cdef class Program:
    """Called as ``program(value, start)``: the fields that were asked for, or the classes of their values.

    Args:
        code: Operations and their operands; constants by their place.
        constants: Names, symbols and functions.
        fail: Called with the value and a place where it does not fit its schema; raises.
        slots: Number of classes that it gives, a byte each; 0 for a program that gives fields.
    """

    cdef int32_t* _code
    cdef tuple _constants
    cdef object _fail
    cdef int _slots

    def __cinit__(self, list code, tuple constants, object fail, int slots=0):
        cdef Py_ssize_t at
        self._code = <int32_t*>PyMem_Malloc(max(1, len(code)) * sizeof(int32_t))
        if self._code == NULL:
            raise MemoryError
        for at in range(len(code)):
            self._code[at] = code[at]
        if not 0 <= slots <= MAX_SLOTS:
            raise ValueError("too many classes")
        self._constants, self._fail, self._slots = constants, fail, slots

    def __dealloc__(self):
        PyMem_Free(self._code)

    def __call__(self, bytes value not None, Py_ssize_t start):
        cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(value)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(value), at = start
        cdef const int32_t* code = self._code
        cdef Py_ssize_t step = 0
        cdef int64_t number = 0, size = 0
        cdef int64_t left[MAX_DEPTH]
        cdef uint8_t classes[MAX_SLOTS]
        cdef int place_of_class
        cdef dict found = None, current = None
        cdef list outer = None
        if self._slots:
            memset(classes, 0, MAX_SLOTS)
        else:
            found, outer = {}, []
            current = found
        if not 0 <= at <= end:
            return self._fail(value, end)
        while True:
            op = code[step]
            if op == Op.LENGTH:
                if not take_length(data, end, &at, &size):
                    return self._fail(value, at)
                at += size
                step += 1
            elif op == Op.NUMBER:
                while at < end and data[at] > 127:
                    at += 1
                at += 1
                if at > end:
                    return self._fail(value, end)
                step += 1
            elif op == Op.FIXED:
                at += code[step + 1]
                if at > end:
                    return self._fail(value, end)
                step += 2
            elif op == Op.UNION:
                if at >= end or data[at] & 1 or data[at] >> 1 >= code[step + 1]:
                    return self._fail(value, at)
                step = code[step + 2 + (data[at] >> 1)]
                at += 1
            elif op == Op.JUMP:
                step = code[step + 1]
            elif op == Op.BLOCKS:
                if not take_number(data, end, &at, &number):
                    return self._fail(value, at)
                if number == 0:
                    step = code[step + 2]
                    continue
                if number < 0:
                    # A negative count is followed by the size of the block in bytes.
                    if not take_number(data, end, &at, &size) or size < 0:
                        return self._fail(value, at)
                    # No count is below what there are bytes for: the least number has no opposite.
                    number = -max(number, -end - 1)
                if code[step + 3]:
                    # Each item takes a byte at least: no reason to count to two to the power of 63.
                    if not 0 < number <= end:
                        return self._fail(value, at)
                    left[code[step + 1]] = number
                    step += 4
            elif op == Op.AGAIN:
                left[code[step + 1]] -= 1
                step = code[step + 2] if left[code[step + 1]] > 0 else code[step + 3]
            elif op == Op.TEXT:
                if not take_length(data, end, &at, &size):
                    return self._fail(value, at)
                current[self._constants[code[step + 1]]] = PyUnicode_DecodeUTF8(<const char*>data + at, size, NULL)
                at += size
                step += 2
            elif op == Op.DECIMAL:
                if not take_length(data, end, &at, &size):
                    return self._fail(value, at)
                current[self._constants[code[step + 1]]] = self.decimal(data + at, size, code + step)
                at += size
                step += 5
            elif op == Op.RAW:
                if not take_length(data, end, &at, &size):
                    return self._fail(value, at)
                current[self._constants[code[step + 1]]] = PyBytes_FromStringAndSize(<const char*>data + at, size)
                at += size
                step += 2
            elif op == Op.LONG:
                if not take_number(data, end, &at, &number):
                    return self._fail(value, at)
                current[self._constants[code[step + 1]]] = number
                step += 2
            elif op == Op.CONVERTED:
                if not take_number(data, end, &at, &number):
                    return self._fail(value, at)
                current[self._constants[code[step + 1]]] = self._constants[code[step + 2]](number)
                step += 3
            elif op == Op.ENUM:
                if not take_number(data, end, &at, &number):
                    return self._fail(value, at)
                symbols = self._constants[code[step + 2]]
                if not 0 <= number < len(symbols):
                    return self._fail(value, at)
                current[self._constants[code[step + 1]]] = symbols[number]
                step += 3
            elif op == Op.BOOLEAN:
                if at >= end:
                    return self._fail(value, end)
                current[self._constants[code[step + 1]]] = data[at] != 0
                at += 1
                step += 2
            elif op == Op.NONE:
                current[self._constants[code[step + 1]]] = None
                step += 2
            elif op == Op.CALL:
                read, place = self._constants[code[step + 2]](value, at)
                current[self._constants[code[step + 1]]] = read
                at = place
                if not 0 <= at <= end:
                    return self._fail(value, end)
                step += 3
            elif op == Op.TEXT_CLASS:
                if not take_length(data, end, &at, &size):
                    return self._fail(value, at)
                text = PyBytes_FromStringAndSize(<const char*>data + at, size)
                kind = (<dict>self._constants[code[step + 2]]).get(text)
                if kind is None:
                    kind = self._constants[code[step + 3]](text)
                    if kind is None:
                        return None
                classes[code[step + 1]] = kind
                at += size
                step += 4
            elif op == Op.DECIMAL_CLASS:
                if not take_length(data, end, &at, &size):
                    return self._fail(value, at)
                if not take_unscaled(data + at, size, code[step + 4], &number):
                    return None
                place_of_class = class_of(number, <bytes>self._constants[code[step + 3]])
                classes[code[step + 1]] = code[step + 2] + place_of_class
                at += size
                step += 5
            elif op == Op.LONG_CLASS:
                if not take_number(data, end, &at, &number):
                    return self._fail(value, at)
                place_of_class = class_of(number, <bytes>self._constants[code[step + 3]])
                classes[code[step + 1]] = code[step + 2] + place_of_class
                step += 4
            elif op == Op.ENUM_CLASS:
                if not take_number(data, end, &at, &number):
                    return self._fail(value, at)
                kinds = self._constants[code[step + 2]]
                if not 0 <= number < len(kinds):
                    return self._fail(value, at)
                classes[code[step + 1]] = kinds[number]
                step += 3
            elif op == Op.BOOLEAN_CLASS:
                if at >= end:
                    return self._fail(value, end)
                classes[code[step + 1]] = code[step + 2] + (data[at] != 0)
                at += 1
                step += 3
            elif op == Op.CLASS:
                classes[code[step + 1]] = code[step + 2]
                step += 3
            elif op == Op.OPEN:
                inner = {}
                current[self._constants[code[step + 1]]] = inner
                outer.append(current)
                current = <dict>inner
                step += 2
            elif op == Op.CLOSE:
                current = <dict>outer.pop()
                step += 1
            else:
                if at != end:
                    return self._fail(value, at)
                return PyBytes_FromStringAndSize(<const char*>classes, self._slots) if self._slots else found

    cdef object decimal(self, const uint8_t* data, int64_t size, const int32_t* operands):
        cdef int64_t number
        if take_unscaled(data, size, operands[3], &number):
            return Decimal(f"{number}E-{operands[2]}")
        return self._constants[operands[4]](PyBytes_FromStringAndSize(<const char*>data, size))


cdef inline bint take_number(const uint8_t* data, Py_ssize_t end, Py_ssize_t* at, int64_t* found) noexcept nogil:
    """Read a zig-zag number; False where it does not end before `end`, or is longer than any."""
    cdef uint64_t number = 0
    cdef int shift = 0
    cdef uint8_t byte
    while at[0] < end and shift < 64:
        byte = data[at[0]]
        at[0] += 1
        number |= <uint64_t>(byte & 127) << shift
        if byte < 128:
            found[0] = <int64_t>(number >> 1) ^ -<int64_t>(number & 1)
            return True
        shift += 7
    return False


cdef inline bint take_length(const uint8_t* data, Py_ssize_t end, Py_ssize_t* at, int64_t* found) noexcept nogil:
    """Read a length; False where so many bytes do not follow."""
    return take_number(data, end, at, found) and 0 <= found[0] <= end - at[0]


cdef inline bint take_unscaled(const uint8_t* data, int64_t size, int32_t precision, int64_t* found) noexcept nogil:
    """Read the number of a decimal; False where it is long, or would be rounded to the precision."""
    cdef uint64_t unsigned
    cdef int64_t limit = 1, place
    if not 0 < size <= 7:
        return False
    unsigned = <uint64_t>-1 if data[0] & 128 else 0
    for place in range(size):
        unsigned = unsigned << 8 | data[place]
    found[0] = <int64_t>unsigned
    for place in range(min(precision, 18)):
        limit *= 10
    return -limit < found[0] < limit


cdef inline int class_of(int64_t number, bytes bounds):
    """Return where `number` is among sorted bounds: an even number between two, an odd one on a bound.

    Args:
        number: The number.
        bounds: For each bound its floor, and 1 where that is the bound itself: 64-bit numbers.
    """
    cdef const int64_t* bound = <const int64_t*>PyBytes_AS_STRING(bounds)
    cdef Py_ssize_t at, count = PyBytes_GET_SIZE(bounds) // 16
    for at in range(count):
        if number <= bound[2 * at]:
            return 2 * at + (number == bound[2 * at] and bound[2 * at + 1] == 1)
    return 2 * count
