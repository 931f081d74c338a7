package config

import (
	"strings"
	"testing"
)

// TestPushURL checks the errors for invalid URLs, which must not repeat the URL, as it may contain
// a secret.
func TestPushURL(t *testing.T) {
	for value, why := range map[string]string{
		"http://127.0.0.1:8086/write?db=portsyncd":                 "",
		"https://influx.example/api/v2/write?org=noc&bucket=a%20b": "",
		"http://[::1]:8428/write":                                  "",
		"http://[fe80::1%25eth0]/write":                            "",
		"receiver.hush:8086":                                       "the scheme is neither http nor https",
		"ftp://hush.example/":                                      "the scheme is neither http nor https",
		"http://":                                                  "the host is neither a name nor an IP address",
		"http://10.0.0.300/hush":                                   "the host is neither a name nor an IP address",
		"https://noc:hush@influx.example/write":                    "put the user and password into push.authorization_file",
		"https://influx.example/write?db=x&u=noc&p=hush":           "into push.authorization_file",
		"https://influx.example/write?Token=hush":                  "into push.authorization_file",
		"https://influx.example/write?a;b=hush":                    "invalid query after '?'",
		"https://influx.example/write#hush":                        "a fragment after '#' is not allowed",
		"https://influx.example/write#":                            "a fragment after '#' is not allowed",
		"https://hush%zz/":                                         "not a valid URL",
		"https://influx.example/" + strings.Repeat("hush", 1000):   "not a valid URL",
		"https://influx.example/\u202ehush":                        "not a valid URL",
	} {
		c, err := Parse("f", []byte("push.url = '"+value+"'"))
		if why == "" {
			if err != nil || c.Push.URL != value {
				t.Errorf("%s: %v, %q", value, err, c.Push.URL)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "hush") || c.Push.URL != "" {
			t.Errorf("%s: %v, %q; want %q without the value", value, err, c.Push.URL, why)
		}
	}
	if _, err := Parse("f", []byte("push.url = 5")); err == nil || !strings.HasSuffix(err.Error(), "got an integer") {
		t.Error(err)
	}
}

// TestPushInTheClear checks that credentials are refused with an http:// URL unless it is on
// loopback.
func TestPushInTheClear(t *testing.T) {
	for url, valid := range map[string]bool{
		"https://influx.example/write": true, "http://localhost:8086/write": true, "http://127.0.0.7/": true, "http://[::1]/": true,
		"http://influx.example/write": false, "http://10.0.0.1/": false, "http://localhost.example/": false,
	} {
		c, err := Parse("f", []byte("[push]\nauthorization_file = '/secret'\nurl = '"+url+"'\n"))
		const key = "push.authorization_file"
		if (err == nil) != valid || (c.Push.AuthorizationFile == "/secret") != valid || c.IsSet(key) != valid || c.Push.URL != url {
			t.Errorf("%s: %v, %+v, from %s", url, err, c.Push, c.Origin(key))
		}
	}
	// An invalid URL causes no second error.
	_, err := Parse("f", []byte("[push]\nauthorization_file = '/secret'\nurl = 'ftp://x'\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 0 {
		t.Error(err)
	}
}
