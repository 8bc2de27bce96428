// A server made with the official TypeScript SDK, of the protocol of 2026-07-28 and of the older ones.
//
// It runs as `node server.mjs stdio` or as `node server.mjs http`. Over HTTP it keeps no sessions, and writes the port on
// which it listens to its standard error.
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { acceptedContent, createMcpHandler, fromJsonSchema, inputRequired, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

const NOTHING = fromJsonSchema({ type: 'object' });
const NUMBERS = { type: 'object', properties: { a: { type: 'integer' }, b: { type: 'integer' } }, required: ['a', 'b'] };
const SUM = { type: 'object', properties: { sum: { type: 'integer' } }, required: ['sum'] };
const CITIES = { type: 'array', items: { type: 'string', minLength: 1 } };
const NAME = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
const REGION = { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } }, required: ['region'] };

function write(value) {
    return { type: 'text', text: typeof value === 'string' ? value : JSON.stringify(value) };
}

function answer(value) {
    return { content: [write(value)], structuredContent: value };
}

function buildServer() {
    const server = new McpServer({ name: 'typescript', version: '1.0.0' }, { capabilities: { tools: { listChanged: true } } });
    const add = (name, inputSchema, outputSchema, run) =>
        server.registerTool(name, { description: `Run ${name}.`, inputSchema, outputSchema }, run);

    add('add', fromJsonSchema(NUMBERS), fromJsonSchema(SUM), ({ a, b }) => answer({ sum: a + b }));
    add('list_cities', NOTHING, fromJsonSchema(CITIES), () => answer(['Bergen', 'Oslo']));
    add('greet', NOTHING, undefined, (_, context) => {
        const given = acceptedContent(context.mcpReq.inputResponses, 'name');
        if (given !== undefined) return { content: [write(`Hello, ${given.name}.`)] };
        const question = inputRequired.elicit({ message: 'What is your name?', requestedSchema: NAME });
        return inputRequired({ inputRequests: { name: question } });
    });
    add('wait', NOTHING, undefined, (_, context) => {
        const state = context.mcpReq.requestState?.();
        return state === undefined ? inputRequired({ requestState: 'half' }) : { content: [write(`after ${state}`)] };
    });
    add('find_region', fromJsonSchema(REGION), undefined, ({ region }) => ({ content: [write(region)] }));
    add('read_pid', NOTHING, undefined, () => ({ content: [write(String(process.pid))] }));
    return server;
}

if (process.argv[2] === 'stdio') {
    serveStdio(buildServer);
} else {
    const web = createServer(toNodeHandler(createMcpHandler(buildServer)));
    web.listen(0, '127.0.0.1', () => console.error(`listening ${web.address().port}`));
}
