package eventfleet;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KafkaStreams.State;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Kafka Streams' worker: processes the job that its argument names until SIGTERM (see CASES.md). */
public final class Worker {
    private static final Duration CLOSE_LIMIT = Duration.ofSeconds(15);

    private final KafkaStreams streams;
    private final Path ready;
    private final CountDownLatch failed = new CountDownLatch(1);

    private Worker(Job job) {
        streams = new KafkaStreams(topology(job), Settings.of(job));
        ready = Path.of(job.readyPath());
    }

    public static void main(String[] arguments) throws Exception {
        new Worker(Job.read(arguments[0])).run();
    }

    private static Topology topology(Job job) {
        return switch (job.caseName()) {
            case "route-attributes" -> Router.topology(job, () -> new Attributes(job.rules()));
            case "route-fields" -> Router.topology(job, () -> new Fields(job.rules(), job.schemaPath()));
            case "keyed-sum" -> KeyedSum.topology(job);
            case "tumbling", "hopping" -> WindowedSum.topology(job);
            case "aggregate" -> Aggregations.topology(job);
            default -> throw new IllegalArgumentException("Kafka Streams has no case " + job.caseName());
        };
    }

    private void run() throws InterruptedException {
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> on(now));
        Runtime.getRuntime().addShutdownHook(new Thread(this::stop));
        streams.start();
        failed.await();
        System.exit(1);
    }

    private void on(State now) {
        System.out.println("Kafka Streams is " + now);
        if (now == State.ERROR) {
            failed.countDown();
        } else if (now == State.RUNNING) {
            announce();
        }
    }

    private void announce() {
        try {
            Files.write(ready, new byte[0]);
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }

    /**
     * Commits what is done and ends the process: with 0, which Java after a SIGTERM would not. It leaves the
     * group, or the next start would wait for its session to end, 45 s, before it loads anything.
     */
    private void stop() {
        boolean closed = streams.close(
            CloseOptions.groupMembershipOperation(GroupMembershipOperation.LEAVE_GROUP).withTimeout(CLOSE_LIMIT));
        Runtime.getRuntime().halt(closed && failed.getCount() > 0 ? 0 : 1);
    }
}
