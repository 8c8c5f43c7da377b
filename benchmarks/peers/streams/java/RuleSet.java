package eventfleet;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.ToLongFunction;

/** The rules of a job, compiled: those with an equality are found by the value that they ask for. */
final class RuleSet {
    private static final int NONE = Integer.MAX_VALUE;

    private final List<String> paths;
    private final List<String> topics;
    private final byte[][] headers;
    private final Map<Object, int[]>[] byValue;
    private final int[] others;
    private final Test[][] tests;
    private final int[] topicOf;
    private final int[] first;

    /** Compiles the rules; {@code unit} is what one of the number at a path is in its unscaled value. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    RuleSet(List<Job.Rule> rules, ToLongFunction<String> unit) {
        paths = distinct(rules.stream().flatMap(rule -> rule.tests().stream()).map(test -> (String) test.get(0)));
        topics = distinct(rules.stream().map(Job.Rule::topic));
        headers = rules.stream().map(rule -> (rule.name() + "@1").getBytes(UTF_8)).toArray(byte[][]::new);
        topicOf = rules.stream().mapToInt(rule -> topics.indexOf(rule.topic())).toArray();
        first = new int[topics.size()];
        tests = new Test[rules.size()][];
        var byValue = new ArrayList<Map<Object, List<Integer>>>();
        paths.forEach(path -> byValue.add(new HashMap<>()));
        var others = new ArrayList<Integer>();
        for (int place = 0; place < rules.size(); place++) {
            var written = rules.get(place).tests().stream().map(test -> Test.of(test, paths, unit)).toList();
            var key = written.stream().filter(Test::isEquality).findFirst();
            tests[place] = written.stream().filter(test -> key.filter(test::equals).isEmpty()).toArray(Test[]::new);
            key.map(test -> byValue.get(test.place()).computeIfAbsent(test.text(), text -> new ArrayList<>()))
                    .orElse(others)
                    .add(place);
        }
        this.others = array(others);
        this.byValue = byValue.stream().map(RuleSet::frozen).toArray(Map[]::new);
    }

    List<String> paths() {
        return paths;
    }

    List<String> topics() {
        return topics;
    }

    byte[] header(int rule) {
        return headers[rule];
    }

    /**
     * Finds what an event goes to.
     *
     * @param values the value of each path: a text, or the unscaled value of a decimal
     * @return by place of the topic: the first rule that sends it there, see {@link #matched}; valid until
     *     the next call
     */
    int[] match(Object[] values) {
        Arrays.fill(first, NONE);
        for (int path = 0; path < byValue.length; path++) {
            int[] candidates = byValue[path].get(values[path]);
            if (candidates != null) {
                match(candidates, values);
            }
        }
        match(others, values);
        return first;
    }

    static boolean matched(int rule) {
        return rule != NONE;
    }

    private void match(int[] candidates, Object[] values) {
        for (int rule : candidates) {
            if (rule < first[topicOf[rule]] && Test.hold(tests[rule], values)) {
                first[topicOf[rule]] = rule;
            }
        }
    }

    private static Map<Object, int[]> frozen(Map<Object, List<Integer>> found) {
        var made = new HashMap<Object, int[]>();
        found.forEach((value, rules) -> made.put(value, array(rules)));
        return made;
    }

    private static int[] array(List<Integer> numbers) {
        return numbers.stream().mapToInt(Integer::intValue).toArray();
    }

    private static List<String> distinct(java.util.stream.Stream<String> texts) {
        return List.copyOf(texts.collect(java.util.stream.Collectors.toCollection(TreeSet::new)));
    }
}
