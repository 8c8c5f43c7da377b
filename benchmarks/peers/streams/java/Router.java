package eventfleet;

import java.util.function.Supplier;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;

/** Sends each event to the topics of the rules that match it, with the rule as one more header. */
final class Router extends ContextualProcessor<byte[], byte[], byte[], byte[]> {
    private static final String RULE_HEADER = "fleet_rule";
    private static final String PROCESSOR = "route";

    private final Reading reading;
    private final RuleSet rules;
    private final String[] sinks;

    private Router(Reading reading) {
        this.reading = reading;
        rules = reading.rules();
        sinks = rules.topics().toArray(String[]::new);
    }

    static Topology topology(Job job, Supplier<Reading> reading) {
        var from = Serdes.ByteArray().deserializer();
        var to = Serdes.ByteArray().serializer();
        var topology = new Topology()
                .addSource("claims", from, from, job.source())
                .addProcessor(PROCESSOR, () -> new Router(reading.get()), "claims");
        for (String topic : reading.get().rules().topics()) {
            topology.addSink(topic, topic, to, to, PROCESSOR);
        }
        return topology;
    }

    @Override
    public void process(Record<byte[], byte[]> event) {
        int[] first = rules.match(reading.values(event));
        for (int topic = 0; topic < first.length; topic++) {
            if (RuleSet.matched(first[topic])) {
                var output = event.withHeaders(event.headers()); // Copies them.
                output.headers().add(RULE_HEADER, rules.header(first[topic]));
                context().forward(output, sinks[topic]);
            }
        }
    }
}
