package eventfleet;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** A row of a table: number of claims and their charges in cents, as two big-endian 64-bit numbers. */
record Sum(long count, long cents) {
    static final Sum NONE = new Sum(0, 0);
    static final Serde<Sum> SERDE = Serdes.serdeFrom((topic, sum) -> sum.bytes(), (topic, bytes) -> parse(bytes));

    Sum plus(long moreCents) {
        return new Sum(count + 1, cents + moreCents);
    }

    private byte[] bytes() {
        return ByteBuffer.allocate(2 * Long.BYTES).putLong(count).putLong(cents).array();
    }

    private static Sum parse(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        var buffer = ByteBuffer.wrap(bytes);
        return new Sum(buffer.getLong(), buffer.getLong());
    }
}
