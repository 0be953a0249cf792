// Reads objects as JSON from standard input, and says of each custom resource what is wrong with it.
// KEDA's and the Prometheus operator's own definitions are asked twice: by the validators compiled from them, and, as
// those let pass what they do not know, which a cluster then drops, by the types made of them.
import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";
import * as prometheus from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import typescript from "typescript";

const groups = {
  "keda.sh/v1alpha1": [keda, "@kubernetes-models/keda/keda.sh/v1alpha1"],
  "monitoring.coreos.com/v1": [prometheus, "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"],
};

const objects = JSON.parse(readFileSync(0, "utf8"));
const unknown = complaints(objects);
console.log(JSON.stringify(objects.map((object, number) => invalid(object) || unknown[number])));

function invalid(object) {
  const model = groups[object.apiVersion]?.[0][object.kind];
  if (!model) return `there is no ${object.kind} in ${object.apiVersion}`;
  try {
    new model(object).validate();
    return "";
  } catch (error) {
    return error.message;
  }
}

/** One declaration a line; what the compiler says of a line is about its object. */
function complaints(objects) {
  const file = fileURLToPath(new URL(`objects-${process.pid}.ts`, import.meta.url));
  const lines = objects.map(({ apiVersion, kind, ...rest }, number) =>
    groups[apiVersion]?.[0][kind]
      ? `const o${number}: import("${groups[apiVersion][1]}").I${kind} = ${JSON.stringify({ apiVersion, kind, ...rest })};`
      : "",
  );
  writeFileSync(file, `${lines.join("\n")}\nexport {};\n`);
  try {
    const options = { strict: true, noEmit: true, skipLibCheck: true, types: [], module: typescript.ModuleKind.NodeNext };
    const program = typescript.createProgram([file], options);
    const source = program.getSourceFile(file);
    const said = objects.map(() => "");
    for (const found of program.getSemanticDiagnostics(source)) {
      const { line } = source.getLineAndCharacterOfPosition(found.start);
      said[line] ||= typescript.flattenDiagnosticMessageText(found.messageText, " ");
    }
    return said;
  } finally {
    rmSync(file);
  }
}
