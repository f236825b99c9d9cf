// agent-tracker-client 1: `agent-tracker connect opencode` replaces it, `agent-tracker disconnect opencode` takes it out.
// Appends to the repository's spool; lets a line of shell begin a session. Says nothing, throws nothing, waits for nobody.
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"

const HOOK = ""
const STATE = ""
const BEGIN_MS = 2000
const MAX_CALLS = 10000
const ID = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$/

// Where the repository's facts go, as git finds the repository; empty where nothing is recorded.
function spoolOf(start) {
  for (let at = path.resolve(start); ; at = path.dirname(at)) {
    let git = path.join(at, ".git")
    const status = fs.statSync(git, { throwIfNoEntry: false })
    if (status) {
      if (status.isFile()) git = path.resolve(at, read(git).replace(/^gitdir: /, ""))
      const common = path.join(git, "commondir")
      if (fs.existsSync(common)) git = path.resolve(git, read(common))
      const found = path.join(git, "agent-tracker")
      const own = fs.lstatSync(found, { throwIfNoEntry: false })
      return own?.isDirectory() && fs.existsSync(path.join(found, "project")) ? found : ""
    }
    if (at === path.dirname(at)) return ""
  }
}

const read = (file) => fs.readFileSync(file, "utf8").split("\n", 1)[0]

// One framed line in one write, into a regular file.
function append(spool, session, what, tools, commands, failures) {
  const moment = BigInt(Date.now()) * 1000000n + (process.hrtime.bigint() % 1000000n)
  const id = randomBytes(6).toString("hex")
  const line = ["1", "pulse", id, session, what, tools, commands, failures, 0, 0, 0, moment].join("\t")
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = fs.constants
  const flags = O_WRONLY | O_APPEND | O_CREAT | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0)
  const file = fs.openSync(path.join(spool, "spool"), flags, 0o600)
  try {
    if (fs.fstatSync(file).isFile()) fs.writeSync(file, `\n${line} =${line.length}\n`)
  } finally {
    fs.closeSync(file)
  }
}

// Whose a session is, is decided elsewhere; resolves when that is done, or takes too long.
function ask(payload, cwd) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, BEGIN_MS)
    const done = () => {
      clearTimeout(timer)
      resolve()
    }
    const child = spawn("/bin/sh", ["-c", HOOK], { cwd, stdio: ["pipe", "ignore", "ignore"] })
    child.on("error", done)
    child.on("exit", done)
    child.stdin.on("error", done)
    child.stdin.end(JSON.stringify(payload))
  })
}

export const AgentTracker = async ({ directory }) => {
  const parents = new Map()
  const models = new Map()
  const begun = new Set()
  const calls = new Set()

  const isKnown = (session) => fs.existsSync(path.join(STATE, "sessions", session))

  function pulse(session, what, tools = 0, commands = 0, failures = 0) {
    const spool = begun.has(session) ? spoolOf(directory) : ""
    if (spool) append(spool, session, what, tools, commands, failures)
  }

  function used(session, call, tool, metadata, hasFailed) {
    if (calls.has(call)) return
    if (calls.size >= MAX_CALLS) calls.clear()
    calls.add(call)
    const isCommand = tool === "bash"
    if (hasFailed || metadata?.isError === true || (isCommand && metadata?.exit !== 0)) pulse(session, "beat", 0, 0, 1)
    else pulse(session, "beat", isCommand ? 0 : 1, isCommand ? 1 : 0, 0)
  }

  function ended(session) {
    pulse(session, "end")
    begun.delete(session)
  }

  const heard = {
    "session.created": ({ info }) => info?.parentID && parents.set(info.id, info.parentID),
    "session.compacted": ({ sessionID }) => pulse(sessionID, "compact"),
    "session.idle": ({ sessionID }) => pulse(sessionID, "idle"),
    "session.deleted": ({ info }) => ended(info?.id),
    "command.executed": ({ sessionID }) => pulse(sessionID, "beat", 0, 1, 0),
    // A tool that throws is told of here alone.
    "message.part.updated": ({ part }) => {
      if (part?.type === "tool" && part.state?.status === "error") used(part.sessionID, part.callID, part.tool, null, true)
    },
  }

  const hooks = {
    event: async ({ event }) => heard[event?.type]?.(event.properties ?? {}),
    "chat.message": async (input, output) => {
      const session = input?.sessionID
      if (typeof session !== "string" || !ID.test(session) || !spoolOf(directory)) return
      const chosen = output?.message?.model ?? input.model
      const model = chosen?.modelID ? `${chosen.providerID}/${chosen.modelID}` : ""
      const isSame = models.get(session) === model
      models.set(session, model)
      if (begun.has(session) && isSame) return
      const parent = parents.get(session) ?? ""
      const told = { what: "begin", session_id: session, parent_id: parent, model, cwd: directory, process: process.pid }
      await ask(told, directory)
      if (isKnown(session)) begun.add(session)
    },
    "tool.execute.after": async (input, output) => {
      used(input.sessionID, input.callID, input.tool, output?.metadata, output?.isError === true)
    },
    "shell.env": async (input, output) => {
      if (!models.has(input?.sessionID)) return
      output.env.AGENT_TRACKER_SESSION = input.sessionID
      if (models.get(input.sessionID)) output.env.AGENT_TRACKER_MODEL = models.get(input.sessionID)
    },
    dispose: async () => [...begun].forEach(ended),
  }

  const quiet = (hook) => async (...args) => {
    try {
      await hook(...args)
    } catch {
      // Nothing that goes wrong here is the agent's or its user's to mend.
    }
  }
  return Object.fromEntries(Object.entries(hooks).map(([name, hook]) => [name, quiet(hook)]))
}
