#include "cli/cli.h"

static const struct command_flag global_flags[] = {
        {.name = "coordinator",
                .metavar = "URL",
                .help = "Where the coordinator answers (MODEMESH_COORDINATOR; "
                        "http://127.0.0.1:8420)"},
        {.name = "key",
                .metavar = "KEY",
                .help = "API key (MODEMESH_KEY, which no other user can see)"},
        {.name = "ca",
                .metavar = "FILE",
                .help = "Certificate to trust behind https:// (MODEMESH_CA; see 'tls show')"},
        {.name = "state",
                .metavar = "DIR",
                .help = "Its state directory on this host, instead (MODEMESH_COORDINATOR_STATE)"},
        {.name = NULL},
};

static const struct command_flag status_flags[] = {
        {.name = "json", .help = "Print the coordinator's own JSON: all that it knows"},
        {.name = NULL},
};

static const struct command_flag report_flags[] = {
        {.name = "json", .help = "Print JSON"},
        {.name = "raw", .help = "Print one row a line, for scripts; - for an empty cell"},
        {.name = NULL},
};

static const struct command_flag modes_flags[] = {
        {.name = "suggest", .help = "Print modes to keep in the config, from what the nodes have"},
        {.name = "json", .help = "Print JSON: all of them, and what stands for them"},
        {.name = "raw", .help = "Print one row a line, for scripts; - for an empty cell"},
        {.name = NULL},
};

static const struct command_flag explain_flags[] = {
        {.name = "mode",
                .letter = 'm',
                .metavar = "MODE",
                .help = "Of a request in this mode (see 'modes')"},
        {.name = "model",
                .metavar = "MODEL",
                .help = "Instead: of a request for this model, or for a name that means one"},
        {.name = "tokens", .metavar = "N", .help = "Length of its prompt: 30000, 8k (100)"},
        {.name = "session",
                .metavar = "ID",
                .help = "The conversation that it goes on with, by the id that its client sends"},
        {.name = "output",
                .metavar = "N",
                .help = "Tokens of the answer at most (as answers in the mode were)"},
        {.name = "needs",
                .metavar = "A,B",
                .help = "What it takes: chat, tools, vision, audio, fim, embeddings, rerank"},
        {.name = "json", .help = "Print the coordinator's own JSON: all that it tells"},
        {.name = "raw", .help = "Print one instance a line, for scripts; - for an empty cell"},
        {.name = NULL},
};

static const struct command_flag deploy_flags[] = {
        {.name = "context",
                .metavar = "TOKENS",
                .help = "Of one request and its answer: 32k (as the node's config has it)"},
        {.name = "slots", .metavar = "N", .help = "Requests at once (as the node's config has it)"},
        {.name = "kv",
                .metavar = "TYPE",
                .help = "Type of keys and values in the cache: q8_0 (as the node's config has it)"},
        {.name = "node", .metavar = "NODE", .help = "Load it there (where it suits best)"},
        {.name = "undo", .help = "Back to the models that the config lists for MODE"},
        {.name = "dry-run", .help = "Only say how it would be done"},
        {.name = "json", .help = "Print the operation as JSON once it has ended"},
        {.name = NULL},
};

static const struct command_flag load_flags[] = {
        {.name = "context",
                .metavar = "TOKENS",
                .help = "Of one request and its answer: 32k (as the node's config has it)"},
        {.name = "slots", .metavar = "N", .help = "Requests at once (as the node's config has it)"},
        {.name = "kv",
                .metavar = "TYPE",
                .help = "Type of keys and values in the cache: q8_0 (as the node's config has it)"},
        {.name = "node", .metavar = "NODE", .help = "Load it there (where it suits best)"},
        {.name = "keep", .help = "Pin it: it stays loaded, also after the node starts again"},
        {.name = "dry-run", .help = "Only say how it would be done"},
        {.name = "json", .help = "Print the operation as JSON once it has ended"},
        {.name = NULL},
};

static const struct command_flag where_flags[] = {
        {.name = "node", .metavar = "NODE", .help = "Only there"},
        {.name = "json", .help = "Print the operation as JSON once it has ended"},
        {.name = NULL},
};

static const struct command_flag drain_flags[] = {
        {.name = "json", .help = "Print the operation as JSON once it has ended"},
        {.name = NULL},
};

static const struct command_flag plan_flags[] = {
        {.name = "apply", .help = "Carry it out: unload and load what it says"},
        {.name = "json", .help = "Print JSON: the plan; with --apply the operation that has ended"},
        {.name = NULL},
};

static const struct command_flag fit_flags[] = {
        {.name = "context",
                .metavar = "A,B",
                .help = "Tokens of each slot, up to eight (8k,32k,128k)"},
        {.name = "slots",
                .metavar = "N",
                .help = "Requests at once (1; a node's engine.slots is 4 unless set)"},
        {.name = "memory", .metavar = "SIZE", .help = "What there is, as 96G (this host's)"},
        {.name = "kv",
                .metavar = "TYPE",
                .help = "How the cache is stored: q8_0, q4_0, others (f16)"},
        {.name = "together",
                .metavar = "CONTEXT",
                .help = "For models beside each other (the middle one of --context)"},
        {.name = "params",
                .metavar = "SIZE",
                .help = "A model that is not there yet: 32b, 235b-a22b; may be given again"},
        {.name = "quant",
                .metavar = "TYPE",
                .help = "Its quantisation (Q4_K_M); one for each --params, or one for all"},
        {.name = "projector",
                .metavar = "FILE",
                .help = "Count this mmproj*.gguf with the models beside it; may be given again"},
        {.name = "json", .help = "Print JSON: all numbers, in bytes"},
        {.name = "raw", .help = "Print one model a line, for scripts; - for an empty cell"},
        {.name = NULL},
};

static const struct command_flag ask_flags[] = {
        {.name = "mode",
                .letter = 'm',
                .metavar = "MODE",
                .help = "Editor mode that answers (auto: told by the question; see 'modes')"},
        {.name = "model",
                .metavar = "MODEL",
                .help = "Instead: a model, or a name that means one (see 'models' and 'modes')"},
        {.name = "show",
                .letter = 'v',
                .help = "Say on standard error which model and node answer, and why"},
        {.name = NULL},
};

static const struct command_flag approve_flags[] = {
        {.name = "phrase",
                .metavar = "PHRASE",
                .help = "The phrase that the node shows: asks nothing, and must be the same"},
        {.name = "yes", .help = "Approve it without comparing phrases"},
        {.name = "name", .metavar = "NAME", .help = "Name in the mesh, other than its own"},
        {.name = "no-edge", .help = "It serves models, and editors on it are not carried"},
        {.name = "edge-only", .help = "It carries the editors on it, and serves no models"},
        {.name = NULL},
};

static const struct command_flag accept_flags[] = {
        {.name = "for", .metavar = "DURATION", .help = "10m, 2h, at most 24h; 0 ends it"},
        {.name = NULL},
};

static const struct command_flag token_flags[] = {
        {.name = "uses", .metavar = "N", .help = "How many nodes may come in with it (1)"},
        {.name = "expires", .metavar = "DURATION", .help = "Until when: 30m, 1h, 7d (1h)"},
        {.name = "edge-only", .help = "They carry the editors on them, and serve no models"},
        {.name = "no-edge", .help = "They serve models, and editors on them are not carried"},
        {.name = "address",
                .metavar = "HOST:PORT",
                .help = "Where nodes reach the coordinator's link port; may be given again"},
        {.name = NULL},
};

static const struct command_flag key_flags[] = {
        {.name = "modes", .metavar = "A,B", .help = "Only these modes (all)"},
        {.name = "models", .metavar = "X,Y", .help = "Only these models, by name or alias (all)"},
        {.name = "admin", .help = "May run the mesh too: nodes, tokens, keys"},
        {.name = "requests-per-minute", .metavar = "N", .help = "So many at most (no limit)"},
        {.name = NULL},
};

static const struct command_flag tls_flags[] = {
        {.name = "json", .help = "Print JSON"},
        {.name = "write", .metavar = "FILE", .help = "Write what must be trusted to FILE, as PEM"},
        {.name = NULL},
};

static const struct command_flag setup_flags[] = {
        {.name = "write", .help = "Merge it into the editor's own files, with a backup"},
        {.name = "url", .metavar = "URL", .help = "Where the editor finds the mesh (as found)"},
        {.name = "key-file",
                .metavar = "FILE",
                .help = "The editor's API key (else --key); asks with it too"},
        {.name = "modes",
                .metavar = "A,B",
                .help = "The modes, without asking: ask,code,autocomplete=MODEL"},
        {.name = "context", .metavar = "TOKENS", .help = "Context of each, with --modes"},
        {.name = "home", .metavar = "DIR", .help = "Whose files (HOME)"},
        {.name = "file", .metavar = "FILE", .help = "The editor's main file, if not the usual"},
        {.name = "print-path", .help = "Print the path of that file, and nothing else"},
        {.name = NULL},
};

static const char admin_detail[] =
        "On the coordinator's host, as its user, this needs no key. Elsewhere it takes\n"
        "--coordinator and, in MODEMESH_KEY, a key of 'modemesh keys create NAME --admin'.";

static const char approve_detail[] =
        "Shows the node's phrase and asks whether the node itself, in its log, shows the\n"
        "same: then nobody stands between the two. A key that begins with '-' goes\n"
        "behind '--'.";

static const char accept_detail[] =
        "For a network that only you are on, while you set up many nodes. 'nodes list'\n"
        "shows who came so, with the source \"window\".";

static const char token_detail[] =
        "The token is a secret: whoever has it gets in while it lasts. It is the only\n"
        "line on standard output.";

static const char key_detail[] =
        "The key is shown this once, as the only line on standard output; the\n"
        "coordinator keeps a hash of it. An alias stands for the mode or model that it means\n"
        "now, one of 'model-aliases' too, but for those that end with '*'; a mode that the\n"
        "config has not is refused, and so is a mode among the models. With both it is for\n"
        "what both allow.";

static const char setup_detail[] =
        "Without EDITOR, lists the editors. Prints what the editor needs; with --write merges\n"
        "it: comments and all else stay, FILE.modemesh-backup-N keeps the file as it was, and\n"
        "a second time changes nothing. docs/CLIENTS.md has a section for each editor.";

static const char fit_detail[] =
        "MODEL is a GGUF file (of a split the first part), or a folder with models at any\n"
        "depth; without one, the current folder. A model that is named twice counts twice.\n"
        "Reads the files' headers only and asks nobody; only a model whose architecture is not\n"
        "known here is shown to llama-fit-params, where that is on PATH.";

static const char deploy_detail[] =
        "Asks the nodes first, and says what will be done before it is: the new model is loaded\n"
        "beside the old one where both fit; else the old one finishes its requests and goes, and\n"
        "those of MODE wait for the new one. No request fails for it, and where the new one does\n"
        "not load, all is as before. The new model is then the first of MODE, and the one that it\n"
        "replaces is off its list and, where no other mode lists it, out of memory; 'modes' shows\n"
        "that, and --undo goes back to the config. Ctrl-C leaves it going ('operations').";

static const char load_detail[] =
        "The settings stay the model's on that node until another load or an unload. Without\n"
        "--node the node that suits best loads it: where it fits, then the faster one.\n"
        "Ctrl-C leaves it going ('operations').";

static const char where_detail[] = "Without --node everywhere where that is so.";

static const char pin_detail[] =
        "Without --node everywhere where it is loaded; where it is loaded nowhere, on the one\n"
        "node that has it.";

static const char plan_detail[] =
        "Weighs each mode's models in their order, its context, copies and weight (the\n"
        "coordinator's config), the memory and the speed of the nodes, and what is loaded\n"
        "now: a load has a price, so a model moves only where that is worth it. What is\n"
        "pinned stays as it is, and so do engines that are not the mesh's.\n"
        "ACTION: keep, load, reload (with another context or other slots), unload, spare (no\n"
        "mode's, and in nobody's way), refuse (pinned, and there is no room). LOSS is what a\n"
        "mode gets less than at best: its first model, at its whole context, alone on the\n"
        "fastest node.\n"
        "--apply makes the plan anew and carries it out, on each node what goes before what\n"
        "comes; requests finish first. Ctrl-C leaves it going ('operations').";

static const char explain_detail[] =
        "Asks the coordinator for the decision that a request would get now; nothing is sent\n"
        "anywhere. One row is one instance: HELD tokens of the prompt that it has already, then\n"
        "seconds. FIRST, the time to the first token, is WAIT, LOAD, SWAP (its conversation into "
        "a\n"
        "slot), PREFILL and round TRIP; TOTAL adds the answer (DECODE), what the prefill takes\n"
        "from OTHERS that are answered there, missing QUALITY, PRICE and likely FAILURE. The\n"
        "least TOTAL is chosen; the rules about ties and conversations are in\n"
        "docs/ARCHITECTURE.md, \"Which node\". With --needs tools and no known --session it is\n"
        "what modes have their planning models for.";

static const char drain_detail[] =
        "Its models stay loaded, and requests under way go on to their end. It lasts until 'nodes\n"
        "resume', or until the node starts again.";

static const struct command commands[] = {
        {.name = "status",
                .operands = "",
                .summary = "Show nodes, models, memory, queue and modes (also --json)",
                .detail =
                        "Running are the requests that an instance has; of them those beyond its "
                        "slots wait for one\nthere. Queued are those that none has yet: each goes "
                        "to the best that has room, and the\nmodes show whose they are.",
                .flags = status_flags,
                .run = cmd_status},
        {.name = "ask",
                .operands = "[TEXT] [-]",
                .operands_max = 100000,
                .summary = "Ask a question and stream the answer",
                .detail =
                        "The words are the question. With a last word '-', standard input follows "
                        "them, a blank\nline between; with '-' alone, or no words and input that "
                        "is no terminal, it is the\nquestion. Beside words without '-', standard "
                        "input is not read. The answer, and nothing else,\ngoes to standard "
                        "output, "
                        "what a model thinks only where that is a terminal. Each question\nis a "
                        "conversation of its own. Ctrl-C cancels the answer, on the node too.",
                .examples = "  modemesh ask \"what is a monad?\"\n"
                            "  modemesh ask --mode code \"review this\" - <file.c\n"
                            "  git diff | modemesh ask \"write a commit message for this\" -",
                .flags = ask_flags,
                .run = cmd_ask},
        {.name = "modes",
                .operands = "",
                .summary = "Show modes, their rules and other names, and where each would go now",
                .detail =
                        "Models stand in the order in which they are liked, with their points "
                        "where "
                        "the config or\ntheir node says them. Under them the rules by which one is "
                        "chosen, and the names that\nstand for modes and for foreign models. Where "
                        "the config has no modes, they are derived\nfrom what the nodes have. NOW "
                        "is where a question of 100 tokens would go, without tools.",
                .examples = "  modemesh modes --suggest >>coordinator.yaml",
                .flags = modes_flags,
                .run = cmd_modes},
        {.name = "explain",
                .operands = "",
                .summary = "Show where a request would go now, and its cost on every instance",
                .detail = explain_detail,
                .examples = "  modemesh explain --mode code --tokens 30k --needs tools",
                .flags = explain_flags,
                .run = cmd_explain},
        {.name = "models",
                .operands = "[COMMAND]",
                .summary = "Show the models of all nodes, load them, let them go",
                .detail = admin_detail,
                .flags = report_flags,
                .run = cmd_models},
        {.name = "models list",
                .operands = "",
                .summary = "Show the models of all nodes (also --json, --raw)",
                .flags = report_flags,
                .run = cmd_models},
        {.name = "models load",
                .operands = "MODEL",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Load a model now, with settings of its own",
                .detail = load_detail,
                .examples = "  modemesh models load qwen3-coder --context 64k --kv q8_0\n"
                            "  modemesh models load qwen3-coder --node halo1 --keep",
                .flags = load_flags,
                .admin = true,
                .run = cmd_models_load},
        {.name = "models unload",
                .operands = "MODEL",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Let a model go once its requests are done; its pin and settings end",
                .detail = where_detail,
                .flags = where_flags,
                .admin = true,
                .run = cmd_models_unload},
        {.name = "models pin",
                .operands = "MODEL",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Keep a model loaded",
                .detail = pin_detail,
                .flags = where_flags,
                .admin = true,
                .run = cmd_models_pin},
        {.name = "models unpin",
                .operands = "MODEL",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Keep it no more: it goes when its memory is needed",
                .detail = where_detail,
                .flags = where_flags,
                .admin = true,
                .run = cmd_models_unpin},
        {.name = "deploy",
                .operands = "MODE=MODEL",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Give a mode another model, without a request failing for it",
                .detail = deploy_detail,
                .examples = "  modemesh deploy code=qwen3-coder --dry-run\n"
                            "  modemesh deploy code=qwen3-coder --context 64k --kv q8_0\n"
                            "  modemesh deploy --undo code",
                .flags = deploy_flags,
                .admin = true,
                .run = cmd_deploy},
        {.name = "operations",
                .operands = "",
                .summary = "Show what was deployed, loaded, drained, … and how it goes",
                .flags = report_flags,
                .admin = true,
                .run = cmd_operations},
        {.name = "plan",
                .operands = "",
                .summary = "Show which models should be loaded where, and why (also --apply)",
                .detail = plan_detail,
                .examples = "  modemesh plan\n  modemesh plan --apply",
                .flags = plan_flags,
                .admin = true,
                .run = cmd_plan},
        {.name = "fit",
                .operands = "[MODEL...]",
                .operands_max = 1000,
                .summary = "Show what models take in memory, and which fit together (offline)",
                .detail = fit_detail,
                .examples = "  modemesh fit ~/models --memory 96G\n"
                            "  modemesh fit coder.gguf thinker.gguf --context 64k --kv q8_0\n"
                            "  modemesh fit --params 32b --quant Q4_K_M --params 8b",
                .flags = fit_flags,
                .local = true,
                .run = cmd_fit},
        {.name = "setup",
                .operands = "[EDITOR]",
                .operands_max = 1,
                .summary = "Set an editor up for the mesh: print its settings, or write them",
                .detail = setup_detail,
                .examples = "  modemesh setup claude-code\n"
                            "  modemesh setup opencode --write\n"
                            "  modemesh setup zed --url https://attic:8443 --ca ca.pem "
                            "--key-file laptop.key",
                .flags = setup_flags,
                .run = cmd_setup},
        {.name = "nodes",
                .operands = "[COMMAND]",
                .summary = "Show who is in the mesh and who waits, let nodes in, cut them off",
                .detail = admin_detail,
                .flags = report_flags,
                .admin = true,
                .run = cmd_nodes_list},
        {.name = "nodes list",
                .operands = "",
                .summary = "Show who is in the mesh and who waits (also --json, --raw)",
                .flags = report_flags,
                .admin = true,
                .run = cmd_nodes_list},
        {.name = "nodes approve",
                .operands = "NAME|ADDRESS|PHRASE|KEY",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Let a node in that waits",
                .detail = approve_detail,
                .examples = "  modemesh nodes approve halo1\n"
                            "  modemesh nodes approve halo1 --phrase "
                            "dakor-lusab-fitom-ranuk-bizop",
                .flags = approve_flags,
                .admin = true,
                .run = cmd_nodes_approve},
        {.name = "nodes revoke",
                .operands = "NAME|KEY",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Cut a node off, at once, and keep it out",
                .admin = true,
                .run = cmd_nodes_revoke},
        {.name = "nodes forget",
                .operands = "NAME|KEY",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Make a node a stranger again, who may wait for approval",
                .admin = true,
                .run = cmd_nodes_forget},
        {.name = "nodes drain",
                .operands = "NODE",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Give a node no new requests, as before maintenance",
                .detail = drain_detail,
                .examples = "  modemesh nodes drain halo1\n  modemesh nodes resume halo1",
                .flags = drain_flags,
                .admin = true,
                .run = cmd_nodes_drain},
        {.name = "nodes resume",
                .operands = "NODE",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Give it requests again",
                .flags = drain_flags,
                .admin = true,
                .run = cmd_nodes_resume},
        {.name = "nodes accept",
                .operands = "",
                .summary = "Take whoever comes for a while, without approval",
                .detail = accept_detail,
                .examples = "  modemesh nodes accept --for 10m\n  modemesh nodes accept --for 0",
                .flags = accept_flags,
                .admin = true,
                .run = cmd_nodes_accept},
        {.name = "token",
                .operands = "[COMMAND]",
                .summary = "Make, list and end tokens with which nodes join by themselves",
                .detail = admin_detail,
                .flags = report_flags,
                .admin = true,
                .run = cmd_token_list},
        {.name = "token create",
                .operands = "",
                .summary = "Print a token for modemesh-node --join, and nothing else",
                .detail = token_detail,
                .examples = "  modemesh token create\n"
                            "  modemesh token create --uses 20 --expires 7d | ssh box "
                            "'cat >join.token'",
                .flags = token_flags,
                .admin = true,
                .run = cmd_token_create},
        {.name = "token list",
                .operands = "",
                .summary = "Show the tokens that can be used (also --json, --raw)",
                .flags = report_flags,
                .admin = true,
                .run = cmd_token_list},
        {.name = "token revoke",
                .operands = "ID",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "End a token; whoever came with it stays",
                .admin = true,
                .run = cmd_token_revoke},
        {.name = "keys",
                .operands = "[COMMAND]",
                .summary = "Make, list and end the API keys of editors and people",
                .detail = admin_detail,
                .flags = report_flags,
                .admin = true,
                .run = cmd_keys_list},
        {.name = "keys create",
                .operands = "NAME",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Print a new API key, and nothing else",
                .detail = key_detail,
                .examples = "  modemesh keys create laptop\n"
                            "  modemesh keys create ci --modes ask,code --requests-per-minute 60",
                .flags = key_flags,
                .admin = true,
                .run = cmd_keys_create},
        {.name = "keys list",
                .operands = "",
                .summary = "Show the keys, never their text (also --json, --raw)",
                .flags = report_flags,
                .admin = true,
                .run = cmd_keys_list},
        {.name = "keys revoke",
                .operands = "NAME",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "End a key",
                .admin = true,
                .run = cmd_keys_revoke},
        {.name = "tls",
                .operands = "[COMMAND]",
                .summary = "Show the certificate that editors see, and how to trust it",
                .detail = admin_detail,
                .flags = tls_flags,
                .admin = true,
                .run = cmd_tls_show},
        {.name = "tls show",
                .operands = "",
                .summary = "Show fingerprints, names and how to trust it (also --write FILE)",
                .detail = "--write replaces a file only where that holds one certificate, as it "
                          "wrote it before.",
                .examples = "  modemesh tls show\n  modemesh tls show --write ca.pem",
                .flags = tls_flags,
                .admin = true,
                .run = cmd_tls_show},
        {.name = "version",
                .operands = "",
                .summary = "Show the version",
                .local = true,
                .run = cmd_version},
        {.name = "help",
                .operands = "[COMMAND]",
                .operands_max = 2,
                .summary = "Show this, or the help of a command",
                .local = true,
                .run = cmd_help},
        {.name = NULL},
};

const struct command_set cli_commands = {
        .program = "modemesh",
        .summary =
                "Talks to the coordinator of a mesh: what it has, what it answers, who is in it.",
        .epilog = "Exit codes: 0 done, 1 the request was refused or failed, 2 wrong command line,\n"
                  "3 no coordinator answers, 130 interrupted.",
        .flags = global_flags,
        .commands = commands,
};
