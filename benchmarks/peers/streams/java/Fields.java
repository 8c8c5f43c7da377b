package eventfleet;

import java.util.List;
import org.apache.avro.Schema;
import org.apache.kafka.streams.processor.api.Record;

/** Reads the fields of Avro claims that the rules name. */
final class Fields implements Reading {
    private final RuleSet rules;
    private final Object[] values;
    private final ClaimReader reader;

    Fields(List<Job.Rule> rules, String schemaPath) {
        Schema written = ClaimReader.schema(schemaPath);
        this.rules = new RuleSet(rules, path -> Projection.unit(written, path));
        var paths = this.rules.paths();
        values = new Object[paths.size()];
        reader = new ClaimReader(written, paths);
    }

    @Override
    public RuleSet rules() {
        return rules;
    }

    @Override
    public Object[] values(Record<byte[], byte[]> event) {
        reader.read(event.value(), values);
        return values;
    }
}
