package eventfleet;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** Counts claims and sums their charges per member. */
final class KeyedSum extends ContextualProcessor<byte[], byte[], Void, Void> {
    static final String TABLE = "sums";
    private KeyValueStore<String, Sum> sums;

    static Topology topology(Job job) {
        KeyValueBytesStoreSupplier supplier =
                job.isInMemory() ? Stores.inMemoryKeyValueStore(TABLE) : Stores.persistentKeyValueStore(TABLE);
        var bytes = Serdes.ByteArray().deserializer();
        return new Topology()
                .addSource("claims", bytes, bytes, job.source())
                .addProcessor("sum", KeyedSum::new, "claims")
                .addStateStore(
                        Stores.keyValueStoreBuilder(supplier, Serdes.String(), Sum.SERDE).withCachingEnabled(), "sum");
    }

    @Override
    public void init(ProcessorContext<Void, Void> context) {
        super.init(context);
        sums = context.getStateStore(TABLE);
    }

    @Override
    public void process(Record<byte[], byte[]> event) {
        Claim claim = Claim.parse(event.value());
        Sum before = sums.get(claim.member());
        sums.put(claim.member(), (before == null ? Sum.NONE : before).plus(claim.cents()));
    }
}
