// OpenAI's own package for Node, as it is: each check's result, as JSON, by its name.
import OpenAI from "openai";
import { standardResponseFormat } from "openai/helpers/standard-schema";

const { BASE_URL, KEY, MODEL } = process.env;
const client = new OpenAI({ baseURL: BASE_URL, apiKey: KEY, maxRetries: 0 });

const messages = [{ role: "user", content: "What is the capital of France?" }];
const greedy = { model: MODEL, messages, temperature: 0, max_tokens: 12 };
const parameters = {
  type: "object",
  properties: { city: { type: "string", enum: ["Rome", "Oslo"] } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "forecast", strict: true, parameters } }];
const forecast = { type: "function", function: { name: "forecast" } };

const ask = (more = {}) => client.chat.completions.create({ ...greedy, ...more });

/** What a client sees of the error that this promise fails with. */
async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    const { status = null, code = null, param = null, type = null } = error;
    return { class: error.constructor.name, status, code, param, type };
  }
  return "no error";
}

const checks = {
  chat: () => ask(),
  async stream() {
    const stream = await ask({ stream: true, stream_options: { include_usage: true } });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
  },
  async helper() {
    const stream = client.chat.completions.stream({ ...greedy, logprobs: true, top_logprobs: 2 });
    let snapshot = "";
    stream.on("content", (_, all) => (snapshot = all));
    const final = await stream.finalChatCompletion();
    return { snapshot, final };
  },
  named: () => ask({ tools, tool_choice: forecast, max_tokens: 60 }),
  required: () => ask({ tools, tool_choice: "required", max_tokens: 60 }),
  async streamedTool() {
    const stream = client.chat.completions.stream({ ...greedy, tools, tool_choice: forecast, max_tokens: 60 });
    return stream.finalChatCompletion();
  },
  async runTools() {
    const asked = [];
    const run = (given) => (asked.push(given), "Sunny, 25 degrees.");
    const callable = [{ type: "function", function: { ...tools[0].function, function: run, parse: JSON.parse } }];
    const runner = client.chat.completions.runTools(
      { ...greedy, tools: callable, tool_choice: forecast, max_tokens: 60 },
    );
    await runner.done();
    return asked;
  },
  async parsed() {
    // A schema of any library that keeps to Standard Schema, such as zod: this one is made by hand.
    const validate = (value) => ({ value });
    const schema = { "~standard": { version: 1, vendor: "none", validate } };
    const response_format = standardResponseFormat(schema, "city", { schema: parameters });
    const answer = await client.chat.completions.parse({ ...greedy, response_format, max_tokens: 60 });
    return answer.choices[0].message.parsed;
  },
  two: () => ask({ n: 2, temperature: 1.5, seed: 5 }),
  stop: () => ask({ stop: " Paris" }),
  seeds: async () => [await ask({ temperature: 1.5, seed: 5 }), await ask({ temperature: 1.5, seed: 5 })],
  completion: () => client.completions.create({ model: MODEL, prompt: "One, two,", temperature: 0 }),
  async streamedCompletion() {
    const stream = await client.completions.create({
      model: MODEL,
      prompt: "One, two,",
      temperature: 0,
      stream: true,
    });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0].text;
    return text;
  },
  image: () => client.images.generate({ model: "sdxl-tiny", prompt: "a cat", size: "64x64", n: 2 }),
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return { ids, one: await client.models.retrieve(MODEL) };
  },
  wrongKey: () =>
    failure(new OpenAI({ baseURL: BASE_URL, apiKey: "sk-wrong", maxRetries: 0 }).chat.completions.create(greedy)),
  unknownModel: () => failure(ask({ model: "gpt-4o" })),
  embeddings: () => failure(client.embeddings.create({ model: MODEL, input: "hi" })),
  badRequest: () => failure(ask({ temperature: -1 })),
  badStream: () => failure(ask({ stream: true, logit_bias: { 1000000: 5 } })),
  tooLong: () => failure(ask({ messages: [{ role: "user", content: "word ".repeat(2100) }] })),
  late: () =>
    failure(client.chat.completions.create({ ...greedy, max_tokens: 1000, ignore_eos: true }, { timeout: 500 })),
};

const results = {};
for (const [name, check] of Object.entries(checks)) {
  try {
    results[name] = await check();
  } catch (error) {
    results[name] = { failed: String(error) };
  }
}
console.log(JSON.stringify(results));
