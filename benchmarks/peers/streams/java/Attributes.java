package eventfleet;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.streams.processor.api.Record;

/** Reads CloudEvents attributes, which are headers; the value of the event is not touched. */
final class Attributes implements Reading {
    private final RuleSet rules;
    private final Map<String, Integer> places = new HashMap<>();
    private final Object[] values;

    Attributes(List<Job.Rule> rules) {
        this.rules = new RuleSet(rules, path -> 1);
        var paths = this.rules.paths();
        paths.forEach(path -> places.put("ce_" + path, paths.indexOf(path)));
        values = new Object[paths.size()];
    }

    @Override
    public RuleSet rules() {
        return rules;
    }

    @Override
    public Object[] values(Record<byte[], byte[]> event) {
        Arrays.fill(values, null);
        for (Header header : event.headers()) {
            Integer place = places.get(header.key());
            if (place != null) {
                values[place] = new String(header.value(), UTF_8);
            }
        }
        return values;
    }
}
