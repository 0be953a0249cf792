/* One request to the API, written in three languages. The key is never in it: it comes from CROFAI_API_KEY. */

const CHAT = "/v1/chat/completions";

/** By language; `body` is the request's JSON, of chats or of images. */
export function snippets(origin, path, body) {
  return { curl: curl(origin, path, body), python: python(origin, path, body), javascript: javascript(origin, path, body) };
}

function curl(origin, path, body) {
  const json = JSON.stringify(body, null, 2).replaceAll("\n", "\n  ").replaceAll("'", "'\\''");
  return `curl -N ${origin}${path} \\
  -H "Authorization: Bearer $CROFAI_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${json}'`;
}

function python(origin, path, body) {
  const head = (imports) => `# pip install openai
${imports}
from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=os.environ["CROFAI_API_KEY"])
`;
  if (path === CHAT) {
    return `${head("import os\n")}stream = client.chat.completions.create(
${keywords(body)}
)
for chunk in stream:
    for choice in chunk.choices:
        print(choice.delta.content or "", end="", flush=True)`;
  }
  return `${head("import base64\nimport os\n")}stream = client.images.generate(
${keywords(withExtra(body))}
)
number = 0
for event in stream:
    if event.type == "image_generation.completed":
        number += 1
        with open(f"image-{number}.png", "wb") as file:
            file.write(base64.b64decode(event.b64_json))`;
}

/** OpenAI's package takes what OpenAI's own models lack in a field of its own. */
function withExtra({ model, prompt, n, size, stream, ...extra }) {
  const known = { model, prompt, ...(n && { n }), ...(size && { size }), stream };
  return Object.keys(extra).length ? { ...known, extra_body: extra } : known;
}

function keywords(body) {
  return Object.entries(body).map(([name, value]) => `    ${name}=${literal(value, "    ")},`).join("\n");
}

/** A value as Python writes it; strings are JSON's. */
function literal(value, indent) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((each) => literal(each, inner))
    : Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${literal(each, inner)}`);
  const [open, end] = isList ? "[]" : "{}";
  const short = `${open}${parts.join(", ")}${end}`;
  if (short.length <= 72 && !short.includes("\n")) return short;
  return `${open}\n${parts.map((part) => `${inner}${part},`).join("\n")}\n${indent}${end}`;
}

function javascript(origin, path, body) {
  const isChat = path === CHAT;
  const json = JSON.stringify(body, null, 2).replaceAll("\n", "\n  ");
  const taken = isChat
    ? '    process.stdout.write(event.choices[0]?.delta.content ?? "");'
    : `    if (event.type !== "image_generation.completed") continue;
    number += 1;
    await writeFile(\`image-\${number}.png\`, event.b64_json, "base64");`;
  return `${isChat ? "" : 'import { writeFile } from "node:fs/promises";\n\n'}const answer = await fetch("${origin}${path}", {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.CROFAI_API_KEY}\`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify(${json}),
});
if (!answer.ok) throw new Error((await answer.json()).error.message);

let rest = "";
${isChat ? "" : "let number = 0;\n"}for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split("\\n");
  rest = lines.pop(); // a line may continue in the next piece
  for (const line of lines) {
    if (!line.startsWith("data: {")) continue;
    const event = JSON.parse(line.slice(6));
    if (event.error) throw new Error(event.error.message);
${taken}
  }
}`;
}
