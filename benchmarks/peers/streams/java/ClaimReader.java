package eventfleet;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

/**
 * Reads values at some paths of Avro claims by Avro's fast reader. Its schema has only those fields: what else
 * was written is skipped, as Avro's schema resolution allows.
 */
final class ClaimReader {
    private static final byte MAGIC = 0;
    private static final int WIRE_HEADER_BYTES = 5;

    private final int[][] positions;
    private final GenericDatumReader<GenericRecord> reader;
    private BinaryDecoder decoder;
    private GenericRecord claim;

    ClaimReader(Schema written, List<String> paths) {
        Schema wanted = Projection.of(written, paths);
        positions = paths.stream().map(path -> Projection.positions(wanted, path)).toArray(int[][]::new);
        GenericData data = new GenericData();
        data.setFastReaderEnabled(true);
        reader = new GenericDatumReader<>(written, wanted, data);
    }

    /** Writes the value of each path: a text, a number, or the unscaled value of a decimal. */
    void read(byte[] value, Object[] into) {
        if (value[0] != MAGIC) {
            throw new IllegalArgumentException("not in Confluent wire format");
        }
        try {
            decoder = DecoderFactory.get()
                    .binaryDecoder(value, WIRE_HEADER_BYTES, value.length - WIRE_HEADER_BYTES, decoder);
            claim = reader.read(claim, decoder);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        for (int path = 0; path < positions.length; path++) {
            into[path] = value(claim, positions[path]);
        }
    }

    static Schema schema(String path) {
        try {
            return new Schema.Parser().parse(new File(path));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static Object value(GenericRecord claim, int[] positions) {
        Object found = claim;
        for (int position : positions) {
            found = ((GenericRecord) found).get(position);
        }
        return found instanceof ByteBuffer decimal ? Long.valueOf(unscaled(decimal)) : found;
    }

    /** Reads a decimal of up to eight bytes, in two's complement. */
    private static long unscaled(ByteBuffer decimal) {
        long found = decimal.get(decimal.position());
        for (int at = decimal.position() + 1; at < decimal.limit(); at++) {
            found = found << Byte.SIZE | decimal.get(at) & 0xFF;
        }
        return found;
    }
}
