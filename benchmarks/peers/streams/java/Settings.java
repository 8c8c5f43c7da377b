package eventfleet;

import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.StreamsConfig;

/**
 * Kafka Streams set for the most events per CPU second of one thread: large fetches and batches, a cache that
 * holds every key in use. What is not named is at its default: commits every 100 ms with exactly_once_v2.
 */
final class Settings {
    private static final int MIB = 1 << 20;
    /** The default of at_least_once, 30 s, is longer than a measurement, and its progress must be seen. */
    private static final int COMMIT_INTERVAL_MS = 500;

    private Settings() {}

    static Properties of(Job job) {
        var set = new Properties();
        set.put(StreamsConfig.APPLICATION_ID_CONFIG, job.name());
        set.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, job.bootstrapServers());
        set.put(StreamsConfig.STATE_DIR_CONFIG, job.dataDir());
        set.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        set.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L * MIB);
        set.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
        guarantee(set, job.isExactlyOnce());
        consumers(set);
        producer(set);
        return set;
    }

    private static void guarantee(Properties set, boolean isExactlyOnce) {
        if (isExactlyOnce) {
            set.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        } else {
            set.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
            set.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_INTERVAL_MS);
        }
    }

    private static void consumers(Properties set) {
        set.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        set.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        set.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 * MIB);
        set.put(StreamsConfig.consumerPrefix(ConsumerConfig.RECEIVE_BUFFER_CONFIG), MIB);
    }

    private static void producer(Properties set) {
        set.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), MIB / 2);
        set.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L * MIB);
        set.put(StreamsConfig.producerPrefix(ProducerConfig.SEND_BUFFER_CONFIG), MIB);
    }
}
