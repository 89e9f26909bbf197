/**
 * `@huggingface/jinja` with the globals and the printing that chat templates get from `transformers`.
 *
 * Five things are brought nearer to Python: printed values (`True`, `None`, `{'a': 1}`), undefined values in loops and
 * filters (empty, as Jinja has them), strings (`strip` with characters, `capitalize`, no `+` with anything else),
 * English `strftime_now` from an injected clock, and `{% generation %}` blocks, which the library reads over: here they
 * become call blocks, so that the caller may mark where each begins and ends.
 */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { quoted, strftime, stringFilters, stringMethods } from "./python-strings.ts";

type Value = ReturnType<Environment["set"]>;
type Statement = Parameters<Interpreter["evaluate"]>[0] & { type: string };

/** A parsed template: variables and a clock in, text out; `marks` are printed around `{% generation %}` blocks. */
export type JinjaTemplate = (
  variables: Record<string, unknown>,
  now: Date,
  marks?: readonly [string, string],
) => string;

const generationTag = /\{%(-?)\s*generation\s*(-?)%\}/g;
const endGenerationTag = /\{%(-?)\s*endgeneration\s*(-?)%\}/g;
const generationMacro =
  "{% macro attune_generation() %}{{ attune_marks[0] }}{{ caller() }}{{ attune_marks[1] }}{% endmacro %}\n";

/** Whether a template marks the assistant's text itself. */
export function hasGenerationBlocks(source: string): boolean {
  return source.search(generationTag) >= 0;
}

/** Parses a template with the options of `transformers` (`trim_blocks`, `lstrip_blocks`). Throws what the parser throws. */
export function jinjaTemplate(source: string): JinjaTemplate {
  const marked = hasGenerationBlocks(source)
    ? generationMacro +
      source
        .replace(generationTag, "{%$1 call attune_generation() $2%}")
        .replace(endGenerationTag, "{%$1 endcall $2%}")
    : source;
  const program = parse(tokenize(marked, { trim_blocks: true, lstrip_blocks: true }));
  return (variables, now, marks = ["", ""]) => {
    const environment = new Environment();
    const globals = {
      ...constants,
      strftime_now: (format: string) => strftime(now, format),
      attune_marks: marks,
    };
    for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
    const interpreter = new Interpreter(environment);
    behaveLikePython(interpreter);
    return String((interpreter.run(program) as Value).value);
  };
}

const constants = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  raise_exception(message: string): never {
    throw new Error(message);
  },
  range(first: number, stop?: number, step = 1): number[] {
    const [from, to] = stop === undefined ? [0, first] : [first, stop];
    if (step === 0) throw new Error("range() step must not be zero");
    return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
  },
};

/** Statements whose null says "nothing to print"; the null of any other is Python's `None`. */
const silent = new Set(["Set", "Macro", "Comment"]);
/** Filters that see an undefined value as an empty list; others (but those that ask for it) as an empty string. */
const listFilters = new Set(
  "first last length list map reject rejectattr reverse select selectattr sort unique items".split(" "),
);
const untouchedFilters = new Set(["default", "tojson"]);

/** The methods of the interpreter that are replaced (private to the library, present since 0.3). */
interface Internals {
  evaluateBlock(statements: Statement[], environment: Environment): Value;
  evaluateFor(node: ForNode, environment: Environment): Value;
  applyFilter(operand: Value, filter: FilterNode, environment: Environment): Value;
  evaluateMemberExpression(node: MemberNode, environment: Environment): Value;
  evaluateBinaryExpression(node: BinaryNode, environment: Environment): Value;
}
type BinaryNode = { operator: { value: string }; left: Statement; right: Statement };
type MemberNode = { object: Statement; property: { value?: unknown }; computed: boolean };
type ForNode = { iterable: { type: string; lhs?: unknown } };
type FilterNode = { type: string; value?: string; callee?: { value?: string } };

function behaveLikePython(interpreter: Interpreter): void {
  const internals = interpreter as unknown as Internals;
  const { evaluateFor, applyFilter, evaluateMemberExpression, evaluateBinaryExpression } = internals;
  const StringValue = new Environment().set("text", "").constructor as new (text: string) => Value;
  internals.evaluateBlock = (statements, environment) => {
    let text = "";
    for (const statement of statements) {
      const value = interpreter.evaluate(statement, environment);
      if (value.type !== "NullValue" || !silent.has(statement.type)) text += pythonString(value);
    }
    return new StringValue(text);
  };
  internals.evaluateFor = (node, environment) => {
    const { iterable } = node;
    const safe =
      iterable.type === "SelectExpression" ? { ...iterable, lhs: orEmpty(iterable.lhs) } : orEmpty(iterable);
    return evaluateFor.call(interpreter, { ...node, iterable: safe }, environment);
  };
  internals.applyFilter = (operand, filter, environment) => {
    const name = filter.value ?? filter.callee?.value ?? "";
    const undefinedInput = operand.type === "UndefinedValue" && !untouchedFilters.has(name);
    const input = undefinedInput ? new Environment().set("empty", listFilters.has(name) ? [] : "") : operand;
    const method = filter.type === "Identifier" ? stringFilters[name] : undefined;
    if (method) return new StringValue(method(pythonString(input)));
    return applyFilter.call(interpreter, input, filter, environment);
  };
  internals.evaluateBinaryExpression = (node, environment) => {
    const operator = node.operator.value;
    if (operator !== "+" && operator !== "~")
      return evaluateBinaryExpression.call(interpreter, node, environment);
    const left = interpreter.evaluate(node.left, environment);
    const right = interpreter.evaluate(node.right, environment);
    const strings = [left, right].filter((value) => value.type === "StringValue").length;
    if (operator === "~" || strings === 2) return new StringValue(pythonString(left) + pythonString(right));
    if (strings === 1)
      throw new Error(`cannot add ${left.type} and ${right.type}: only strings join strings`);
    const scope = new Environment(environment);
    scope.setVariable("attune_left", left);
    scope.setVariable("attune_right", right);
    const identifier = (value: string) => ({ type: "Identifier", value });
    const known = { ...node, left: identifier("attune_left"), right: identifier("attune_right") };
    return evaluateBinaryExpression.call(interpreter, known, scope);
  };
  internals.evaluateMemberExpression = (node, environment) => {
    const method = node.computed ? undefined : stringMethods[String(node.property.value)];
    const object = method && interpreter.evaluate(node.object, environment);
    if (!method || object?.type !== "StringValue")
      return evaluateMemberExpression.call(interpreter, node, environment);
    return new Environment().set("method", (characters?: string) => method(String(object.value), characters));
  };
}

/** The syntax of `expression | default([])`. */
function orEmpty(operand: unknown) {
  const callee = { type: "Identifier", value: "default" };
  const filter = { type: "CallExpression", callee, args: [{ type: "ArrayLiteral", value: [] }] };
  return { type: "FilterExpression", operand, filter };
}

/** Python's `str(value)`. */
function pythonString(value: Value): string {
  return value.type === "StringValue" ? String(value.value) : pythonRepr(value);
}

/** Python's `repr(value)`. */
function pythonRepr(value: Value): string {
  switch (value.type) {
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "";
    case "BooleanValue":
      return value.value ? "True" : "False";
    case "StringValue":
      return quoted(String(value.value));
    case "ArrayValue":
      return `[${(value.value as Value[]).map(pythonRepr).join(", ")}]`;
    case "TupleValue": {
      const items = (value.value as Value[]).map(pythonRepr);
      return `(${items.join(", ")}${items.length === 1 ? "," : ""})`;
    }
    case "ObjectValue": {
      const entries = [...(value.value as Map<string, Value>)];
      return `{${entries.map(([key, item]) => `${quoted(key)}: ${pythonRepr(item)}`).join(", ")}}`;
    }
    default:
      return value.toString();
  }
}
