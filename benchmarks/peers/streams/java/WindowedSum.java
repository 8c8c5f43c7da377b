package eventfleet;

import java.time.Duration;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowBytesStoreSupplier;

/** Counts claims and sums their charges per member and window of event time, with the operators of the DSL. */
final class WindowedSum {
    private static final Duration RETENTION = Duration.ofDays(2);

    private WindowedSum() {}

    static Topology topology(Job job) {
        Deserializer<Claim> parse = (topic, json) -> Claim.parse(json);
        var claims = Serdes.serdeFrom((topic, claim) -> null, parse);
        var builder = new StreamsBuilder();
        KStream<String, Claim> source = builder.stream(
                job.source(),
                Consumed.with(Serdes.String(), claims)
                        .withTimestampExtractor((event, last) -> ((Claim) event.value()).eventTimeMs()));
        source.groupByKey(Grouped.with(Serdes.String(), claims))
                .windowedBy(windows(job.window()))
                .aggregate(
                        () -> Sum.NONE,
                        (member, claim, sum) -> sum.plus(claim.cents()),
                        Materialized.<String, Sum>as(store(job))
                                .withKeySerde(Serdes.String())
                                .withValueSerde(Sum.SERDE)
                                .withCachingEnabled());
        return builder.build();
    }

    private static TimeWindows windows(Job.Window window) {
        return TimeWindows.ofSizeAndGrace(Duration.ofMillis(window.sizeMs()), Duration.ofMillis(window.graceMs()))
                .advanceBy(Duration.ofMillis(window.advanceMs()));
    }

    private static WindowBytesStoreSupplier store(Job job) {
        Duration size = Duration.ofMillis(job.window().sizeMs());
        return job.isInMemory()
                ? Stores.inMemoryWindowStore(KeyedSum.TABLE, RETENTION, size, false)
                : Stores.persistentTimestampedWindowStore(KeyedSum.TABLE, RETENTION, size, false);
    }
}
