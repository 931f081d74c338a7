package lab

var transactionCommands = []command{
	{"multi", 1, noScript | anytime | noQueue, cmdMulti},
	{"exec", 1, noScript | noQueue, cmdExec},
	{"discard", 1, noScript | anytime | noQueue, cmdDiscard},
}

func cmdMulti(r *request) Reply {
	if r.c.inMulti {
		return ErrorReply("ERR MULTI calls can not be nested")
	}
	r.c.inMulti = true
	return ok
}

// cmdExec implements EXEC: it runs the queued commands. WATCH is not supported.
func cmdExec(r *request) Reply {
	if !r.c.inMulti {
		return ErrorReply("ERR EXEC without MULTI")
	}
	queue, dirty := r.c.queue, r.c.dirty
	r.c.leaveMulti()
	if dirty {
		return ErrorReply("EXECABORT Transaction discarded because of previous errors.")
	}
	out := []Reply{}
	for _, argv := range queue {
		cmd, _ := lookup(argv) // already checked when the command was queued
		out = append(out, r.db.call(&request{r.db, r.c, cmd, argv}))
	}
	return out
}

func cmdDiscard(r *request) Reply {
	if !r.c.inMulti {
		return ErrorReply("ERR DISCARD without MULTI")
	}
	r.c.leaveMulti()
	return ok
}

func (c *client) leaveMulti() {
	c.inMulti, c.dirty, c.queue = false, false, nil
}
