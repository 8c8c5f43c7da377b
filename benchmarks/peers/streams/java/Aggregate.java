package eventfleet;

import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** The functions of one aggregation. A row has a big-endian 64-bit number for each, in their order. */
final class Aggregate {
    static final Serde<long[]> SERDE = Serdes.serdeFrom((topic, row) -> bytes(row), (topic, bytes) -> parse(bytes));

    /** What is computed of the charges, in cents. */
    private enum Function {
        COUNT(0) {
            @Override
            long with(long before, long cents) {
                return before + 1;
            }

            @Override
            long merged(long one, long other) {
                return one + other;
            }
        },
        SUM(0) {
            @Override
            long with(long before, long cents) {
                return Math.addExact(before, cents);
            }

            @Override
            long merged(long one, long other) {
                return Math.addExact(one, other);
            }
        },
        MIN(Long.MAX_VALUE) {
            @Override
            long with(long before, long cents) {
                return Math.min(before, cents);
            }

            @Override
            long merged(long one, long other) {
                return Math.min(one, other);
            }
        },
        MAX(Long.MIN_VALUE) {
            @Override
            long with(long before, long cents) {
                return Math.max(before, cents);
            }

            @Override
            long merged(long one, long other) {
                return Math.max(one, other);
            }
        };

        private final long none;

        Function(long none) {
            this.none = none;
        }

        abstract long with(long before, long cents);

        abstract long merged(long one, long other);
    }

    private final Function[] functions;

    Aggregate(List<String> names) {
        functions = names.stream().map(name -> Function.valueOf(name.toUpperCase())).toArray(Function[]::new);
    }

    long[] none() {
        var row = new long[functions.length];
        for (int place = 0; place < row.length; place++) {
            row[place] = functions[place].none;
        }
        return row;
    }

    long[] with(long[] before, long cents) {
        var row = new long[functions.length];
        for (int place = 0; place < row.length; place++) {
            row[place] = functions[place].with(before[place], cents);
        }
        return row;
    }

    long[] merged(long[] one, long[] other) {
        var row = new long[functions.length];
        for (int place = 0; place < row.length; place++) {
            row[place] = functions[place].merged(one[place], other[place]);
        }
        return row;
    }

    private static byte[] bytes(long[] row) {
        var buffer = ByteBuffer.allocate(row.length * Long.BYTES);
        buffer.asLongBuffer().put(row);
        return buffer.array();
    }

    private static long[] parse(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        var row = new long[bytes.length / Long.BYTES];
        ByteBuffer.wrap(bytes).asLongBuffer().get(row);
        return row;
    }
}
