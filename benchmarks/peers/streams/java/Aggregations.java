package eventfleet;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.avro.Schema;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.StateStore;

/**
 * Aggregations of Avro claims in event time, with the operators of the DSL. Each event is decoded once, whatever
 * the number of aggregations; only group and charge go through the repartition topic of each, the event time as
 * the timestamp of the record.
 */
final class Aggregations {
    private static final Duration RETENTION = Duration.ofDays(2);
    private static final String CHARGE = "total_charge";
    private static final String EVENT_TIME = "event_time";

    private final Job job;
    private final Schema written;
    private final List<String> paths;
    private final int charge;
    private final int eventTime;

    private Aggregations(Job job) {
        this.job = job;
        written = ClaimReader.schema(job.schemaPath());
        var named = new ArrayList<>(List.of(CHARGE, EVENT_TIME));
        for (Job.Aggregation aggregation : job.aggregations()) {
            named.addAll(aggregation.group());
            aggregation.tests().forEach(test -> named.add((String) test.get(0)));
        }
        paths = named.stream().distinct().toList();
        charge = paths.indexOf(CHARGE);
        eventTime = paths.indexOf(EVENT_TIME);
    }

    static Topology topology(Job job) {
        return new Aggregations(job).topology();
    }

    private Topology topology() {
        var builder = new StreamsBuilder();
        KStream<byte[], Object[]> events = builder.stream(
                job.source(),
                Consumed.with(Serdes.ByteArray(), Serdes.serdeFrom((topic, values) -> null, claims()))
                        .withTimestampExtractor((event, last) -> (Long) ((Object[]) event.value())[eventTime]));
        job.aggregations().forEach(aggregation -> aggregate(aggregation, events));
        return builder.build();
    }

    /** A reader keeps what it read last: each thread has its own. */
    private Deserializer<Object[]> claims() {
        var reader = ThreadLocal.withInitial(() -> new ClaimReader(written, paths));
        return (topic, value) -> {
            var values = new Object[paths.size()];
            reader.get().read(value, values);
            return values;
        };
    }

    private void aggregate(Job.Aggregation aggregation, KStream<byte[], Object[]> events) {
        var functions = new Aggregate(aggregation.functions());
        var grouped = grouped(aggregation, events);
        if (aggregation.session() != null) {
            grouped.windowedBy(sessions(aggregation.session()))
                    .aggregate(
                            functions::none,
                            (group, cents, row) -> functions.with(row, cents),
                            (group, one, other) -> functions.merged(one, other),
                            table(aggregation));
        } else {
            grouped.windowedBy(windows(aggregation.window()))
                    .aggregate(functions::none, (group, cents, row) -> functions.with(row, cents), table(aggregation));
        }
    }

    private KGroupedStream<String, Long> grouped(Job.Aggregation aggregation, KStream<byte[], Object[]> events) {
        int[] places = aggregation.group().stream().mapToInt(paths::indexOf).toArray();
        var tests = aggregation.tests().stream()
                .map(test -> Test.of(test, paths, path -> Projection.unit(written, path)))
                .toArray(Test[]::new);
        KStream<byte[], Object[]> passed =
                tests.length == 0 ? events : events.filter((key, values) -> Test.hold(tests, values));
        return passed.map((key, values) -> KeyValue.pair(group(values, places), (Long) values[charge]))
                .groupByKey(Grouped.with(aggregation.name(), Serdes.String(), Serdes.Long()));
    }

    private static String group(Object[] values, int[] places) {
        if (places.length == 1) {
            return (String) values[places[0]];
        }
        return IntStream.of(places).mapToObj(place -> (String) values[place]).collect(Collectors.joining("|"));
    }

    private static TimeWindows windows(Job.Window window) {
        return TimeWindows.ofSizeAndGrace(Duration.ofMillis(window.sizeMs()), Duration.ofMillis(window.graceMs()))
                .advanceBy(Duration.ofMillis(window.advanceMs()));
    }

    /** The gap of Kafka Streams includes its bound, that of the job does not. */
    private static SessionWindows sessions(Job.Session session) {
        return SessionWindows.ofInactivityGapAndGrace(
                Duration.ofMillis(session.gapMs() - 1), Duration.ofMillis(session.graceMs()));
    }

    private <S extends StateStore> Materialized<String, long[], S> table(Job.Aggregation aggregation) {
        var table = Materialized.<String, long[], S>as(aggregation.name())
                .withKeySerde(Serdes.String())
                .withValueSerde(Aggregate.SERDE)
                .withRetention(RETENTION)
                .withCachingEnabled();
        return job.isInMemory() ? table.withStoreType(Materialized.StoreType.IN_MEMORY) : table;
    }
}
