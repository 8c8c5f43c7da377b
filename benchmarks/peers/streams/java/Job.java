package eventfleet;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import java.io.File;
import java.io.IOException;
import java.util.List;

/** What the worker is told to do: those fields of benchmarks/workers/job.py that it needs. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Job(
        String name,
        @JsonProperty("case") String caseName,
        String guarantee,
        String bootstrapServers,
        String source,
        String dataDir,
        String readyPath,
        String schemaPath,
        String store,
        List<Rule> rules,
        Window window,
        List<Aggregation> aggregations) {

    /** An event for which all tests (path, operator, value) hold goes to the topic. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Rule(String name, String topic, List<List<Object>> tests) {}

    /** Windows of event time. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Window(long sizeMs, long advanceMs, long graceMs) {}

    /** What is computed of the claims for which all tests hold, by group and window or session. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Aggregation(
            String name,
            List<String> group,
            List<String> functions,
            List<List<Object>> tests,
            Window window,
            Session session) {}

    /** Sessions of event time: an event {@code gapMs} or longer after the last one begins another. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Session(long gapMs, long graceMs) {}

    static Job read(String path) throws IOException {
        return new ObjectMapper()
                .setPropertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                .readValue(new File(path), Job.class);
    }

    boolean isExactlyOnce() {
        return guarantee.equals("exactly_once");
    }

    boolean isInMemory() {
        return store.equals("memory");
    }
}
