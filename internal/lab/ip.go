package lab

import (
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// IP executes one command line of ip(8). It supports the commands that scenario files use:
//
//	link add [name] NAME type veth peer name PEER
//	link add [name] NAME type bridge
//	link set [dev] NAME { up | down | mtu N | name NEW | master NAME | nomaster |
//	        address MAC | alias TEXT | txqueuelen N | promisc { on | off } } ...
//	link del [dev] NAME
//
// IP accepts quoted words. Like ip-link(8), it sends all changes of a line in one request, so that
// the kernel sends the same messages.
func IP(line string) error { return Batch([]string{line}) }

// Batch executes several command lines like IP, using a single socket, and stops at the first
// failure.
func Batch(lines []string) error {
	links, err := DialLinks()
	if err != nil {
		return err
	}
	defer links.Close()
	for i, line := range lines {
		if err := links.runLine(line); err != nil {
			return fmt.Errorf("line %d: ip %s: %w", i+1, line, err)
		}
	}
	return nil
}

func (l *Links) runLine(line string) error {
	words, err := splitQuoted(line)
	if err != nil {
		return err
	}
	w := wordReader{words}
	if err := w.literal("link"); err != nil {
		return err
	}
	switch verb := w.next(); verb {
	case "add":
		return l.runAdd(w)
	case "set":
		return l.runSet(w)
	case "del", "delete":
		w.skip("dev")
		name, err := w.value("a name")
		if err != nil {
			return err
		}
		if err := w.end(); err != nil {
			return err
		}
		return l.Delete(name)
	default:
		return fmt.Errorf("unknown link command %q: must be add, set or del", verb)
	}
}

func (l *Links) runAdd(w wordReader) error {
	w.skip("name")
	name, err := w.value("a name")
	if err != nil {
		return err
	}
	if err := w.literal("type"); err != nil {
		return err
	}
	switch kind := w.next(); kind {
	case "bridge":
		if err := w.end(); err != nil {
			return err
		}
		return l.AddBridge(name)
	case "veth":
		if err := w.literal("peer"); err != nil {
			return err
		}
		if err := w.literal("name"); err != nil {
			return err
		}
		peer, err := w.value("a name")
		if err != nil {
			return err
		}
		if err := w.end(); err != nil {
			return err
		}
		return l.AddVeth(name, peer)
	default:
		return fmt.Errorf("unsupported link type %q: must be veth or bridge", kind)
	}
}

func (l *Links) runSet(w wordReader) error {
	w.skip("dev")
	name, err := w.value("a name")
	if err != nil {
		return err
	}
	var c linkChange
	for len(w.words) > 0 {
		if err := c.read(&w); err != nil {
			return err
		}
	}
	// Like ip, request the link; the request has a side effect in the kernel.
	if err := l.syncState(name); err != nil {
		return err
	}
	return l.change(name, &c)
}

// read parses one setting of "ip link set".
func (c *linkChange) read(w *wordReader) error {
	switch word := w.next(); word {
	case "up", "down":
		c.setFlag(unix.IFF_UP, word == "up")
		return nil
	case "promisc":
		state := w.next()
		if state != "on" && state != "off" {
			return fmt.Errorf("invalid promisc value %q: must be on or off", state)
		}
		c.setFlag(unix.IFF_PROMISC, state == "on")
		return nil
	case "nomaster":
		c.setNumber(unix.IFLA_MASTER, 0)
		return nil
	case "mtu":
		return c.readNumber(w, word, unix.IFLA_MTU)
	case "txqueuelen", "txqlen", "qlen":
		return c.readNumber(w, word, unix.IFLA_TXQLEN)
	case "name":
		return c.readString(w, unix.IFLA_IFNAME)
	case "alias":
		return c.readString(w, unix.IFLA_IFALIAS)
	case "master":
		master, err := w.value("a name")
		if err != nil {
			return err
		}
		return c.setMaster(master)
	case "address":
		text := w.next()
		address, err := net.ParseMAC(text)
		if err != nil {
			return fmt.Errorf("invalid hardware address %q", text)
		}
		c.attrs = netlinkraw.AppendAttr(c.attrs, unix.IFLA_ADDRESS, address)
		return nil
	default:
		return fmt.Errorf("unknown word %q", word)
	}
}

func (c *linkChange) readNumber(w *wordReader, word string, attr uint16) error {
	text := w.next()
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return fmt.Errorf("invalid %s value %q: must be a number", word, text)
	}
	c.setNumber(attr, uint32(n))
	return nil
}

func (c *linkChange) readString(w *wordReader, attr uint16) error {
	text, err := w.value("a text")
	if err != nil {
		return err
	}
	c.setString(attr, text)
	return nil
}

// wordReader reads the words of a command line.
type wordReader struct{ words []string }

// next returns the next word, or "" at the end of the line.
func (w *wordReader) next() string {
	if len(w.words) == 0 {
		return ""
	}
	word := w.words[0]
	w.words = w.words[1:]
	return word
}

// value returns the next word. It returns an error at the end of the line.
func (w *wordReader) value(what string) (string, error) {
	if len(w.words) == 0 {
		return "", fmt.Errorf("missing %s at the end of the line", what)
	}
	return w.next(), nil
}

// literal reads the next word and returns an error unless it is word.
func (w *wordReader) literal(word string) error {
	if got := w.next(); got != word {
		return fmt.Errorf("expected %q, got %q", word, got)
	}
	return nil
}

// skip skips the next word if it equals word and is not the last one.
func (w *wordReader) skip(word string) {
	if len(w.words) > 1 && w.words[0] == word {
		w.next()
	}
}

func (w *wordReader) end() error {
	if len(w.words) > 0 {
		return fmt.Errorf("unexpected word %q", w.words[0])
	}
	return nil
}
