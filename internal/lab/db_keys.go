package lab

import "strconv"

var keyCommands = []command{
	{"set", -3, write, cmdSet},
	{"get", 2, 0, cmdGet},
	{"del", -2, write, cmdDel},
	{"unlink", -2, write, cmdDel},
	{"rename", 3, write, cmdRename},
	{"exists", -2, 0, cmdExists},
	{"type", 2, 0, cmdType},
	{"keys", 2, 0, cmdKeys},
	{"scan", -2, 0, cmdScan},
	{"dbsize", 1, 0, cmdDBSize},
	{"flushdb", -1, write, cmdFlush},
	{"flushall", -1, write, cmdFlush},
}

// cmdSet implements SET without options.
func cmdSet(r *request) Reply {
	if len(r.argv) > 3 {
		return errSyntax
	}
	r.keys()[r.argv[1]] = r.argv[2]
	r.touch(stringEvents, "set", r.argv[1])
	return ok
}

func cmdGet(r *request) Reply {
	switch v := r.keys()[r.argv[1]].(type) {
	case nil:
		return nil
	case string:
		return v
	}
	return errWrongType
}

func cmdDel(r *request) Reply {
	n := 0
	for _, key := range r.argv[1:] {
		if _, had := r.keys()[key]; had {
			n++
			r.remove(key)
		}
	}
	return n
}

// remove deletes a key. It is also called when the last element of a value is removed.
func (r *request) remove(key string) {
	delete(r.keys(), key)
	r.touch(genericEvents, "del", key)
}

func cmdRename(r *request) Reply {
	from, to := r.argv[1], r.argv[2]
	value, had := r.keys()[from]
	switch {
	case !had:
		return ErrorReply("ERR no such key")
	case from != to:
		delete(r.keys(), from)
		r.keys()[to] = value
		r.touch(genericEvents, "rename_from", from)
		r.touch(genericEvents, "rename_to", to)
	}
	return ok
}

func cmdExists(r *request) Reply {
	n := 0
	for _, key := range r.argv[1:] {
		if _, has := r.keys()[key]; has {
			n++
		}
	}
	return n
}

func cmdType(r *request) Reply {
	return Status(typeName(r.keys()[r.argv[1]]))
}

func typeName(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case *hash:
		return "hash"
	case set:
		return "set"
	}
	return "none"
}

func cmdKeys(r *request) Reply {
	out := []Reply{}
	for key := range r.keys() {
		if globMatch(r.argv[1], key) {
			out = append(out, key)
		}
	}
	return out
}

// cmdScan implements SCAN. It returns all keys in a single step, which the protocol allows.
func cmdScan(r *request) Reply {
	if _, err := strconv.ParseUint(r.argv[1], 10, 64); err != nil {
		return ErrorReply("ERR invalid cursor")
	}
	pattern, kind := "*", ""
	for opts := r.argv[2:]; len(opts) > 0; opts = opts[2:] {
		if len(opts) == 1 {
			return errSyntax
		}
		switch value := opts[1]; lower(opts[0]) {
		case "match":
			pattern = value
		case "type":
			kind = lower(value)
		case "count":
			n, err := strconv.Atoi(value)
			if err != nil {
				return errNotInt
			}
			if n < 1 {
				return errSyntax
			}
		default:
			return errSyntax
		}
	}
	found := []Reply{}
	for key, value := range r.keys() {
		if globMatch(pattern, key) && (kind == "" || kind == typeName(value)) {
			found = append(found, key)
		}
	}
	return []Reply{"0", found}
}

func cmdDBSize(r *request) Reply { return len(r.keys()) }

// cmdFlush implements FLUSHDB and FLUSHALL: it deletes the keys of one or all databases and sends
// an invalidation message for all keys.
func cmdFlush(r *request) Reply {
	if len(r.argv) > 2 {
		return errSyntax
	}
	if len(r.argv) == 2 && lower(r.argv[1]) != "async" && lower(r.argv[1]) != "sync" {
		return errSyntax
	}
	if r.cmd.name == "flushdb" {
		clear(r.keys())
	} else {
		for _, ks := range r.db.keyspaces {
			clear(ks)
		}
	}
	r.db.invalidateAll()
	r.db.wakeAwait()
	return ok
}
