# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The hot loop of every worker, compiled: records out of fetched batches, and records into new ones.

A fetched `Record` is a place in the bytes of its batch: key, value and headers become Python objects
when they are asked for, and forwarding a record copies bytes. The same in Python is in `fetched`,
`batches` and `partitioner`, which use these where they are compiled; tests hold the two together.

Format: https://kafka.apache.org/documentation/#recordbatch
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    HEADER_BYTES = 61
    CRC_AT = 17
    CHECKED_FROM = 21
    TRANSACTIONAL = 0x10
    FIRST_CAPACITY = 16384


cdef inline bint read_varint(const uint8_t* data, Py_ssize_t end, Py_ssize_t* at, int64_t* found) noexcept nogil:
    """Read a zig-zag number; False where it does not end before `end`, or is longer than any."""
    cdef uint64_t number = 0
    cdef int shift = 0
    cdef uint8_t byte
    while at[0] < end and shift < 70:
        byte = data[at[0]]
        at[0] += 1
        number |= <uint64_t>(byte & 127) << shift if shift < 64 else 0
        if byte < 128:
            found[0] = <int64_t>(number >> 1) ^ -<int64_t>(number & 1)
            return True
        shift += 7
    return False


cdef inline bint read_length(const uint8_t* data, Py_ssize_t end, Py_ssize_t* at, int32_t* found) noexcept nogil:
    """Read a length, -1 for none; False where so many bytes do not follow."""
    cdef int64_t number = 0
    if not read_varint(data, end, at, &number) or number > end - at[0]:
        return False
    found[0] = <int32_t>(number if number > -1 else -1)
    return True


cdef inline int varint_bytes(int64_t value) noexcept nogil:
    cdef uint64_t number = (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)
    cdef int count = 1
    while number > 127:
        number >>= 7
        count += 1
    return count


cdef inline uint8_t* write_varint(uint8_t* at, int64_t value) noexcept nogil:
    cdef uint64_t number = (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)
    while number > 127:
        at[0] = <uint8_t>(number | 128)
        at += 1
        number >>= 7
    at[0] = <uint8_t>number
    return at + 1


cdef inline uint8_t* write_bytes(uint8_t* at, const uint8_t* content, Py_ssize_t size) noexcept nogil:
    """Write a length and so many bytes; -1 and none for NULL."""
    if content == NULL:
        return write_varint(at, -1)
    at = write_varint(at, size)
    memcpy(at, content, size)
    return at + size


cdef inline void write_big(uint8_t* at, uint64_t value, int size) noexcept nogil:
    cdef int place
    for place in range(size):
        at[place] = <uint8_t>(value >> 8 * (size - 1 - place))


@cython.final
@cython.no_gc
cdef class Record:
    """A fetched record; the attributes are those of ``aiokafka.ConsumerRecord``."""

    cdef readonly str topic
    cdef readonly int partition
    cdef readonly int64_t offset
    cdef readonly int64_t timestamp
    cdef readonly int timestamp_type
    cdef bytes _data  # Holds the batch: what follows are places in it.
    cdef int32_t _key_at, _key_bytes, _value_at, _value_bytes, _headers_at, _headers_bytes, _headers_count
    cdef object _key, _value, _headers

    cdef inline const uint8_t* at(self, int32_t place) noexcept:
        return <const uint8_t*>PyBytes_AS_STRING(self._data) + place

    cdef inline object content(self, int32_t place, int32_t size):
        return None if size < 0 else PyBytes_FromStringAndSize(<const char*>self.at(place), size)

    @property
    def key(self):
        if self._key is None:
            self._key = self.content(self._key_at, self._key_bytes)
        return self._key

    @property
    def value(self):
        if self._value is None:
            self._value = self.content(self._value_at, self._value_bytes)
        return self._value

    @property
    def headers(self):
        cdef const uint8_t* data
        cdef Py_ssize_t at, end
        cdef int32_t size = 0
        cdef list found
        if self._headers is None:
            found = []
            data, at, end = self.at(0), self._headers_at, self._headers_at + self._headers_bytes
            while at < end:
                read_length(data, end, &at, &size)
                name = PyUnicode_DecodeUTF8(<const char*>data + at, size, NULL)
                at += size
                read_length(data, end, &at, &size)
                found.append((name, self.content(<int32_t>at, size)))
                at += max(size, 0)
            self._headers = tuple(found)
        return self._headers

    @property
    def checksum(self):
        return None

    @property
    def serialized_key_size(self):
        return self._key_bytes

    @property
    def serialized_value_size(self):
        return self._value_bytes

    def __repr__(self):
        return f"Record({self.topic}/{self.partition}@{self.offset})"


def unpack(
    bytes data not None, Py_ssize_t start, Py_ssize_t end, int count, str topic not None, int partition,
    int64_t base_offset, int64_t first_timestamp, int64_t append_timestamp, int timestamp_type, int64_t begin,
):
    """Return the records of ``data[start:end]``, the part of a batch after its header, from offset `begin` on.

    Raises:
        ValueError: The bytes are no `count` records.
    """
    cdef const uint8_t* bytes_of = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t at = start, until
    cdef int64_t length = 0, ignored = 0, since = 0, delta = 0, headers = 0
    cdef int32_t key_at, key_bytes = 0, value_at, value_bytes = 0
    cdef int number
    cdef Record record
    cdef list found = []
    if not 0 <= start <= end <= PyBytes_GET_SIZE(data) or end > 0x7FFFFFFF:
        raise ValueError("the batch is not in its bytes")
    for number in range(count):
        if not read_varint(bytes_of, end, &at, &length) or not 0 <= length <= end - at:
            raise ValueError(f"record {number} has no sound length")
        until = at + <Py_ssize_t>length
        if not (
            read_varint(bytes_of, until, &at, &ignored)  # Attributes: none are in use.
            and read_varint(bytes_of, until, &at, &since)
            and read_varint(bytes_of, until, &at, &delta)
            and read_length(bytes_of, until, &at, &key_bytes)
        ):
            raise ValueError(f"record {number} has no sound key")
        key_at = <int32_t>at
        at += max(key_bytes, 0)
        if not read_length(bytes_of, until, &at, &value_bytes):
            raise ValueError(f"record {number} has no sound value")
        value_at = <int32_t>at
        at += max(value_bytes, 0)
        if not read_varint(bytes_of, until, &at, &headers) or headers < 0:
            raise ValueError(f"record {number} has no sound number of headers")
        if not are_headers(bytes_of, at, until, headers):
            raise ValueError(f"record {number} has no sound headers")
        if base_offset + delta >= begin:
            record = Record.__new__(Record)
            record.topic, record.partition, record.offset = topic, partition, base_offset + delta
            record.timestamp = append_timestamp if timestamp_type else first_timestamp + since
            record.timestamp_type = timestamp_type
            record._data = data
            record._key_at, record._key_bytes = key_at, key_bytes
            record._value_at, record._value_bytes = value_at, value_bytes
            record._headers_at, record._headers_bytes = <int32_t>at, <int32_t>(until - at)
            record._headers_count = <int32_t>headers
            found.append(record)
        at = until
    if at != end:
        raise ValueError(f"{end - at} bytes follow the last record")
    return found


cdef bint are_headers(const uint8_t* data, Py_ssize_t at, Py_ssize_t end, int64_t count) except -1:
    """Tell whether `count` headers are from `at` to `end`, with names in UTF-8."""
    cdef int32_t size = 0
    cdef Py_ssize_t place
    while count:
        count -= 1
        if not read_length(data, end, &at, &size) or size < 0:
            return False
        for place in range(at, at + size):
            if data[place] > 127:
                try:
                    PyUnicode_DecodeUTF8(<const char*>data + at, size, NULL)
                except UnicodeDecodeError:
                    return False
                break
        at += size
        if not read_length(data, end, &at, &size):
            return False
        at += max(size, 0)
    return at == end


@cython.final
cdef class HeaderSelector:
    """Called with a record: the values of the headers `names`, in that order, None where there is none.

    Of a header that is there more than once the last counts.
    """

    cdef tuple _names
    cdef tuple _encoded

    def __init__(self, names):
        self._names = tuple(names)
        self._encoded = tuple([name.encode() for name in self._names])

    def __call__(self, record):
        if type(record) is Record:
            return self.of_fetched(<Record>record)
        found = dict(record.headers)
        return tuple([found.get(name) for name in self._names])

    cdef tuple of_fetched(self, Record record):
        cdef const uint8_t* data = record.at(0)
        cdef Py_ssize_t at = record._headers_at, end = at + record._headers_bytes, name_at
        cdef Py_ssize_t number, wanted = len(self._encoded)
        cdef int32_t name_bytes = 0, size = 0
        cdef list found = [None] * wanted
        cdef bytes name
        while at < end:
            read_length(data, end, &at, &name_bytes)
            name_at = at
            at += name_bytes
            read_length(data, end, &at, &size)
            for number in range(wanted):
                name = <bytes>self._encoded[number]
                if (
                    PyBytes_GET_SIZE(name) == name_bytes
                    and memcmp(PyBytes_AS_STRING(name), data + name_at, name_bytes) == 0
                ):
                    found[number] = record.content(<int32_t>at, size)
            at += max(size, 0)
        return tuple(found)


def value_prefixes(records, int32_t size):
    """See `fleet.lane.headers.value_prefixes`."""
    cdef set found = set()
    cdef const uint8_t* last = NULL
    cdef const uint8_t* at
    cdef int32_t last_bytes = -1, known
    cdef object held = None  # Whose bytes `last` is in.
    for record in records:
        if type(record) is not Record:
            if record.value is not None:
                found.add(record.value[:size])
            continue
        known = min((<Record>record)._value_bytes, size)
        if known < 0:
            continue
        at = (<Record>record).at((<Record>record)._value_at)
        if known != last_bytes or memcmp(at, last, known) != 0:
            last, last_bytes, held = at, known, record
            found.add(PyBytes_FromStringAndSize(<const char*>at, known))
    return found


cdef inline const uint8_t* content_of(object content, Py_ssize_t* size) except? NULL:
    if content is None:
        size[0] = 0
        return NULL
    if type(content) is not bytes:
        raise TypeError(f"bytes are needed, not {type(content).__name__}")
    size[0] = PyBytes_GET_SIZE(content)
    return <const uint8_t*>PyBytes_AS_STRING(content)


@cython.final
cdef class BatchWriter:
    """A record batch under construction, uncompressed.

    Args:
        limit_bytes: Size that it does not grow over; the first record is always taken.
        transactional: Whether its records are of a transaction.
    """

    cdef uint8_t* _data
    cdef Py_ssize_t _size, _capacity, _limit
    cdef int64_t _first_timestamp, _last_timestamp, _producer_id
    cdef int _count, _attributes, _producer_epoch, _base_sequence
    cdef bint _built

    def __cinit__(self, Py_ssize_t limit_bytes, bint transactional):
        self._limit = limit_bytes
        self._attributes = TRANSACTIONAL if transactional else 0
        self._producer_id = self._producer_epoch = -1
        self._size = HEADER_BYTES

    def __dealloc__(self):
        PyMem_Free(self._data)

    def size(self):
        """Return its bytes so far."""
        return self._size

    def count(self):
        """Return its records so far."""
        return self._count

    def set_producer_state(self, int64_t producer_id, int producer_epoch, int base_sequence):
        """Set what tells the broker whose it is, and in which order."""
        self._producer_id, self._producer_epoch, self._base_sequence = producer_id, producer_epoch, base_sequence

    cdef uint8_t* begin(self, int64_t timestamp, Py_ssize_t content_bytes, Py_ssize_t* record_bytes) except? NULL:
        """Make room for a record and write its start; NULL where it does not fit any more."""
        cdef int64_t since = timestamp - self._first_timestamp if self._count else 0
        cdef Py_ssize_t body = 1 + varint_bytes(since) + varint_bytes(self._count) + content_bytes
        cdef Py_ssize_t whole = varint_bytes(body) + body
        cdef Py_ssize_t capacity
        cdef void* grown
        cdef uint8_t* at
        if self._built or self._count and self._size + whole > self._limit:
            return NULL
        if self._size + whole > self._capacity:
            capacity = max(self._size + whole, min(2 * self._capacity, self._limit), FIRST_CAPACITY)
            grown = PyMem_Realloc(self._data, capacity)
            if grown == NULL:
                raise MemoryError
            self._data, self._capacity = <uint8_t*>grown, capacity
        if not self._count:
            self._first_timestamp = self._last_timestamp = timestamp
        self._last_timestamp = max(self._last_timestamp, timestamp)
        at = write_varint(self._data + self._size, body)
        at[0] = 0
        at = write_varint(at + 1, since)
        at = write_varint(at, self._count)
        record_bytes[0] = whole
        return at

    cdef inline void end(self, Py_ssize_t record_bytes) noexcept:
        self._count += 1
        self._size += record_bytes

    def append(self, int64_t timestamp, object key, object value, object headers):
        """Append a record; False where it does not fit any more.

        Raises:
            TypeError: Key, value or a header are of another type than bytes (names: text).
        """
        cdef Py_ssize_t key_bytes = 0, value_bytes = 0, whole = 0
        cdef const uint8_t* key_at = content_of(key, &key_bytes)
        cdef const uint8_t* value_at = content_of(value, &value_bytes)
        cdef tuple listed = headers if type(headers) is tuple else tuple(headers)
        cdef Py_ssize_t content_bytes = headers_bytes(listed) + varint_bytes(len(listed))
        content_bytes += (varint_bytes(key_bytes) if key_at != NULL else 1) + key_bytes
        content_bytes += (varint_bytes(value_bytes) if value_at != NULL else 1) + value_bytes
        cdef uint8_t* at = self.begin(timestamp, content_bytes, &whole)
        if at == NULL:
            return False
        at = write_bytes(at, key_at, key_bytes)
        at = write_bytes(at, value_at, value_bytes)
        at = write_varint(at, len(listed))
        write_headers(at, listed)
        self.end(whole)
        return True

    def forward(self, int64_t timestamp, object record, tuple headers not None):
        """Append a record as it is, with more headers at its end; False where it does not fit any more.

        Raises:
            TypeError: A header is of another type than text and bytes.
        """
        if type(record) is not Record:
            return self.append(timestamp, record.key, record.value, (*record.headers, *headers))
        return self.copied(timestamp, <Record>record, headers)

    cdef bint copied(self, int64_t timestamp, Record record, tuple headers) except -1:
        cdef Py_ssize_t whole = 0
        cdef const uint8_t* data = record.at(0)
        cdef int64_t count = record._headers_count + len(headers)
        cdef Py_ssize_t content_bytes = headers_bytes(headers) + record._headers_bytes + varint_bytes(count)
        content_bytes += varint_bytes(record._key_bytes) + max(record._key_bytes, 0)
        content_bytes += varint_bytes(record._value_bytes) + max(record._value_bytes, 0)
        cdef uint8_t* at = self.begin(timestamp, content_bytes, &whole)
        if at == NULL:
            return False
        at = write_bytes(at, data + record._key_at if record._key_bytes >= 0 else NULL, record._key_bytes)
        at = write_bytes(at, data + record._value_at if record._value_bytes >= 0 else NULL, record._value_bytes)
        at = write_varint(at, count)
        memcpy(at, data + record._headers_at, record._headers_bytes)
        write_headers(at + record._headers_bytes, headers)
        self.end(whole)
        return True

    def build(self, crc32c):
        """Return the batch, once; nothing is appended to it afterwards.

        Args:
            crc32c: Gives the checksum of bytes.
        """
        cdef bytes built
        cdef uint8_t* data
        if self._built or not self._count:
            raise ValueError("a batch without records, or built already")
        built = PyBytes_FromStringAndSize(<const char*>self._data, self._size)
        data = <uint8_t*>PyBytes_AS_STRING(built)
        write_big(data, 0, 8)  # The broker sets the offset.
        write_big(data + 8, self._size - 12, 4)
        write_big(data + 12, <uint64_t>-1, 4)  # No leader epoch.
        data[16] = 2
        write_big(data + CHECKED_FROM, self._attributes, 2)
        write_big(data + 23, self._count - 1, 4)
        write_big(data + 27, <uint64_t>self._first_timestamp, 8)
        write_big(data + 35, <uint64_t>self._last_timestamp, 8)
        write_big(data + 43, <uint64_t>self._producer_id, 8)
        write_big(data + 51, <uint64_t>self._producer_epoch, 2)
        write_big(data + 53, <uint64_t>self._base_sequence, 4)
        write_big(data + 57, self._count, 4)
        write_big(data + CRC_AT, crc32c(memoryview(built)[CHECKED_FROM:]), 4)
        PyMem_Free(self._data)
        self._data, self._capacity, self._built = NULL, 0, True
        return built


cdef Py_ssize_t headers_bytes(tuple headers) except -1:
    cdef Py_ssize_t total = 0, size = 0
    cdef const uint8_t* at
    for header in headers:
        name, value = header
        PyUnicode_AsUTF8AndSize(name, &size)
        total += varint_bytes(size) + size
        at = content_of(value, &size)
        total += (varint_bytes(size) if at != NULL else 1) + size
    return total


cdef int write_headers(uint8_t* at, tuple headers) except -1:
    cdef Py_ssize_t size = 0
    cdef const uint8_t* content
    for header in headers:
        name, value = header
        content = <const uint8_t*>PyUnicode_AsUTF8AndSize(name, &size)
        at = write_bytes(at, content, size)
        content = content_of(value, &size)
        at = write_bytes(at, content, size)
    return 0


cdef inline int32_t hash_of(const uint8_t* key, Py_ssize_t size) noexcept nogil:
    """Return murmur2 as Java's client has it, its sign taken off."""
    cdef uint32_t seed = 0x9747B28C, factor = 0x5BD1E995, mixed, word
    cdef Py_ssize_t at
    mixed = seed ^ <uint32_t>size
    for at in range(0, size - 3, 4):
        word = key[at] | <uint32_t>key[at + 1] << 8 | <uint32_t>key[at + 2] << 16 | <uint32_t>key[at + 3] << 24
        word *= factor
        word ^= word >> 24
        word *= factor
        mixed = mixed * factor ^ word
    at = size & ~<Py_ssize_t>3
    if size & 3:
        if size & 3 == 3:
            mixed ^= <uint32_t>key[at + 2] << 16
        if size & 3 >= 2:
            mixed ^= <uint32_t>key[at + 1] << 8
        mixed ^= key[at]
        mixed *= factor
    mixed ^= mixed >> 13
    mixed *= factor
    mixed ^= mixed >> 15
    return <int32_t>(mixed & 0x7FFFFFFF)


def partition_of(bytes key not None, int partitions):
    """See `fleet.lane.partitioner.partition_of`."""
    return hash_of(<const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)) % partitions


def partition_of_record(object record, int partitions):
    """See `fleet.lane.partitioner.partition_of_record`."""
    if type(record) is Record:
        return fetched_partition(<Record>record, partitions)
    return record.partition % partitions if record.key is None else partition_of(record.key, partitions)


cdef int fetched_partition(Record record, int partitions) except -1:
    if record._key_bytes < 0:
        return record.partition % partitions
    return hash_of(record.at(record._key_at), record._key_bytes) % partitions
