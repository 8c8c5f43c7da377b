package eventfleet;

import org.apache.kafka.streams.processor.api.Record;

/** Reads from an event what its rules compare. */
interface Reading {
    /** The rules, compiled for these values. */
    RuleSet rules();

    /** The value of each path of the rules; valid until the next call. */
    Object[] values(Record<byte[], byte[]> event);
}
