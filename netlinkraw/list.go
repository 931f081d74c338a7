package netlinkraw

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/backoff"
)

const (
	// listAttempts is the maximum number of dumps in ListLinks. The pauses between them take up to
	// half a second in total.
	listAttempts = 10
	// listTimeout is the timeout of one dump.
	listTimeout = 10 * time.Second
)

// ListLinks calls fn for each link in the network namespace. It reads the links in one complete
// dump from its own socket and retries interrupted or incomplete dumps. If no dump succeeds, it
// returns an error without calling fn. A link whose message is [Unreadable] has only Index, Flags
// and Name. The Link remains valid after fn returns.
func ListLinks(fn func(*Link)) error {
	c, err := dial(Config{}, 0, slotCount, slotSize)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	defer c.discard()
	links, err := repeatDump(c.dump)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	for i := range links {
		fn(&links[i])
	}
	return nil
}

// repeatDump calls dump until a dump is complete, but at most listAttempts times.
func repeatDump(dump func() (links []Link, complete bool, err error)) ([]Link, error) {
	pause := backoff.Backoff{Min: time.Millisecond, Max: time.Second}
	for attempt := 1; ; attempt++ {
		links, complete, err := dump()
		switch {
		case err != nil:
			return nil, err
		case complete:
			return links, nil
		case attempt == listAttempts:
			return nil, fmt.Errorf("dump still interrupted or incomplete after %d attempts", attempt)
		}
		time.Sleep(pause.Next())
	}
}

// dump returns the links of one dump. complete is false if the dump was interrupted or messages
// were lost.
func (c *Conn) dump() (links []Link, complete bool, err error) {
	if err := c.setDeadline(time.Now().Add(listTimeout)); err != nil {
		return nil, false, err
	}
	seq, err := c.RequestLinkDump()
	if err != nil {
		return nil, false, err
	}
	var b Batch
	for {
		if err := c.Receive(&b); err != nil {
			return nil, false, err
		}
		for b.Next() {
			m := b.Message()
			switch {
			case m.Seq != seq:
			case m.Type == NewLink, m.Type == Unreadable:
				l := m.Link
				l.Name, l.Kind, l.Address = slices.Clone(l.Name), slices.Clone(l.Kind), slices.Clone(l.Address)
				links = append(links, l)
			case m.Type == DumpDone && m.Errno != 0:
				return nil, false, fmt.Errorf("dump links: %w", m.Errno)
			case m.Type == DumpDone:
				return links, !m.Interrupted && !m.Incomplete, nil
			}
		}
	}
}

// SetLinksDown brings links down, like "ip link set down", using its own socket. It returns at most
// one error per link, which contains the index. It ignores links that do not exist. If the kernel
// does not reply in time, the remaining links are skipped. It needs CAP_NET_ADMIN.
func SetLinksDown(indexes []int32) (failed []error) {
	if len(indexes) == 0 {
		return nil
	}
	r, err := DialRequester()
	if err != nil {
		return []error{fmt.Errorf("bring links down: %w", err)}
	}
	defer r.Close()
	return setLinksDown(r.Do, indexes)
}

// setLinksDown implements SetLinksDown. It calls do to send each request.
func setLinksDown(do func(request []byte) error, indexes []int32) (failed []error) {
	for len(indexes) > 0 {
		index := indexes[0]
		indexes = indexes[1:]
		err := do(setDownRequest(index))
		if err == nil || errors.Is(err, unix.ENODEV) {
			continue
		}
		failed = append(failed, fmt.Errorf("bring link %d down: %w", index, err))
		if len(indexes) > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return append(failed, fmt.Errorf("bring links down: skipped %d remaining links", len(indexes)))
		}
	}
	return failed
}

// setDownRequest returns a request that clears IFF_UP on a link.
func setDownRequest(index int32) []byte {
	b := AppendHeader(nil, unix.RTM_NEWLINK, 0, 0, 0)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, index, 0, unix.IFF_UP)
	FinishMessage(b, 0)
	return b
}
