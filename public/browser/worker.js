// Runs a model, or the check, away from the page; all files come from this server.
const GPU = ['q4f16', 'q4', 'fp16', 'fp32', 'q8'];
const CPU = ['q8', 'int8', 'uint8', 'q4', 'fp32'];
const LIMITS = ['maxBufferSize', 'maxStorageBufferBindingSize', 'maxComputeInvocationsPerWorkgroup'];
const MIDDLE = 4; // runs of the check after the first, of which the median counts

let library, generator, stopper;

const adapter = async () => (await navigator.gpu?.requestAdapter().catch(() => null)) ?? null;

async function look() {
  const found = await adapter();
  if (!found) return null;
  const { vendor, architecture, description, isFallbackAdapter } = found.info;
  const name = [...new Set([vendor, architecture, description].filter(Boolean))].join(' · ');
  const limits = Object.fromEntries(LIMITS.map((limit) => [limit, found.limits[limit]]));
  const software = isFallbackAdapter ?? found.isFallbackAdapter ?? /swiftshader|llvmpipe/i.test(name);
  return { name, software, limits, features: [...found.features].sort() };
}

async function prepare(runtime) {
  if (library) return;
  library = await import(new URL('transformers.min.js', runtime));
  Object.assign(library.env, { allowRemoteModels: false, allowLocalModels: true });
  library.env.backends.onnx.wasm.wasmPaths = runtime;
}

// Drops what was cached of earlier states of the models, which have other addresses; returns whether a model is cached.
async function tidy(current, wanted) {
  const cache = await globalThis.caches?.open('transformers-cache'), kept = await cache?.keys() ?? [];
  for (const { url } of kept) if (!current.some((each) => url.startsWith(each))) await cache.delete(url);
  return kept.some(({ url }) => url.startsWith(wanted) && url.includes('.onnx'));
}

async function load({ runtime, current, model, device }) {
  const cached = await tidy(current, model.address);
  const started = performance.now();
  await prepare(runtime);
  const f16 = (await adapter())?.features.has('shader-f16');
  const order = device === 'wasm' ? CPU : GPU.filter((each) => f16 || !each.endsWith('f16') && each !== 'fp16');
  const dtype = order.find((each) => model.precisions.includes(each));
  Object.assign(library.env, { localModelPath: model.folder, useBrowserCache: true });
  const progress_callback = ({ status, progress }) => status === 'progress_total' && postMessage({ progress });
  generator = await library.pipeline('text-generation', model.version, { device, dtype, progress_callback });
  // Between two tokens the messages of the page come in, such as Stop, which computing on the processor would keep out.
  const { model: net } = generator, forward = net.forward.bind(net), { port1, port2 } = new MessageChannel();
  net.forward = (inputs) => new Promise((go) => { port1.onmessage = go; port2.postMessage(0); }).then(() => forward(inputs));
  return { loaded: performance.now() - started, cached, dtype };
}

async function answer({ messages, stop, max }) {
  const { tokenizer, model } = generator, started = performance.now();
  const prompt = tokenizer.apply_chat_template(messages, { add_generation_prompt: true, return_dict: false, return_tensor: false }).length;
  const room = (model.config.max_position_embeddings ?? Infinity) - prompt;
  if (room < 1) return { tooLong: prompt };
  let first, last, tokens = 0, text = '';
  stopper = new library.InterruptableStoppingCriteria();
  const streamer = new library.TextStreamer(tokenizer, {
    skip_prompt: true,
    skip_special_tokens: true,
    token_callback_function: () => { last = performance.now(); first ??= last; tokens += 1; },
    callback_function: (piece) => {
      text += piece;
      const ends = stop.map((each) => text.indexOf(each)).filter((at) => at >= 0);
      if (ends.length) stopper.interrupt();
      postMessage({ text: ends.length ? text.slice(0, Math.min(...ends)) : text });
    },
  });
  await generator(messages, { max_new_tokens: Math.min(max, room), do_sample: false, streamer, stopping_criteria: stopper });
  return { prompt, tokens, first: first - started, total: performance.now() - started, speed: tokens > 1 ? (tokens - 1) * 1000 / (last - first) : null };
}

async function check({ runtime, home, device }) {
  await prepare(runtime);
  const known = await (await fetch(`${home}check/known.json`)).json(), started = performance.now();
  Object.assign(library.env, { localModelPath: home, useBrowserCache: false });
  const net = await library.AutoModel.from_pretrained('check', { device, dtype: 'fp32' });
  const made = performance.now() - started, times = [];
  let result;
  for (let run = 0; run <= MIDDLE; run += 1) {
    const from = performance.now();
    result = await net.sessions.model.run({ x: new library.Tensor('float32', known.x, known.shape).ort_tensor });
    times.push(performance.now() - from);
  }
  const difference = Math.max(...[...await result.y.getData()].map((value, at) => Math.abs(value - known.y[at])));
  return { difference, made, first: times[0], later: times.slice(1).sort((a, b) => a - b)[MIDDLE / 2] };
}

const tasks = { look, load, answer, check };

onmessage = async ({ data }) => {
  if (data.task === 'stop') return stopper?.interrupt();
  try {
    postMessage({ done: await tasks[data.task](data) });
  } catch (error) {
    postMessage({ failed: String(error?.message ?? error) });
  }
};
