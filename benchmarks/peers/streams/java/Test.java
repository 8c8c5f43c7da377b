package eventfleet;

import java.util.List;
import java.util.function.ToLongFunction;

/** One comparison of a rule with the value at {@code place}: a text, or the unscaled value of a decimal. */
record Test(String path, int place, Operator operator, String text, long number) {

    /** How a value is compared. */
    enum Operator {
        EQUAL("=="),
        NOT_EQUAL("!="),
        STARTS_WITH("startsWith"),
        BELOW("<"),
        AT_LEAST(">=");

        private final String sign;

        Operator(String sign) {
            this.sign = sign;
        }

        static Operator of(String sign) {
            for (Operator operator : values()) {
                if (operator.sign.equals(sign)) {
                    return operator;
                }
            }
            throw new IllegalArgumentException("no operator " + sign);
        }
    }

    /**
     * Compiles (path, operator, value).
     *
     * @param paths the path of each place
     * @param unit what one of the number at a path is in its unscaled value
     */
    static Test of(List<Object> written, List<String> paths, ToLongFunction<String> unit) {
        String path = (String) written.get(0);
        Operator operator = Operator.of((String) written.get(1));
        Object value = written.get(2);
        String text = value instanceof String found ? found : null;
        long number = value instanceof Number found ? found.longValue() * unit.applyAsLong(path) : 0;
        return new Test(path, paths.indexOf(path), operator, text, number);
    }

    /** Returns whether all of them hold. */
    static boolean hold(Test[] tests, Object[] values) {
        for (Test test : tests) {
            if (!test.holds(values)) {
                return false;
            }
        }
        return true;
    }

    boolean isEquality() {
        return operator == Operator.EQUAL && text != null;
    }

    boolean holds(Object[] values) {
        Object value = values[place];
        return switch (operator) {
            case EQUAL -> text.equals(value);
            case NOT_EQUAL -> !text.equals(value);
            case STARTS_WITH -> value instanceof String found && found.startsWith(text);
            case BELOW -> value instanceof Long found && found < number;
            case AT_LEAST -> value instanceof Long found && found >= number;
        };
    }
}
