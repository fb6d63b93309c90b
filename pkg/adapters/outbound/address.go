package outbound

import (
	"fmt"
	"net/netip"
	"slices"
)

// network is a range of addresses that nobody outside has business with, and what it is called.
type network struct {
	prefix netip.Prefix
	what   string
	// narrow ranges are opened by a prefix inside of them alone: whoever allows 0.0.0.0/0 does not mean the machine's own
	// credentials.
	narrow bool
}

func networks(what string, narrow bool, prefixes ...string) []network {
	out := make([]network, 0, len(prefixes))
	for _, p := range prefixes {
		out = append(out, network{netip.MustParsePrefix(p), what, narrow})
	}
	return out
}

// local are the ranges that are refused inside of a cluster too: what every machine has for itself, and where clouds serve
// their metadata.
func local() []network {
	var out []network
	out = append(out, networks("a cloud's metadata service", true,
		"169.254.169.254/32", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32",
		"fd00:ec2::/64", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128")...) // AWS with its pod identities, Google, Oracle, Scaleway
	out = append(out, networks("link-local", true, "169.254.0.0/16", "fe80::/10")...)
	out = append(out, networks("loopback", false, "127.0.0.0/8", "::1/128")...)
	out = append(out, networks("unspecified", false, "0.0.0.0/8", "::/128")...)
	out = append(out, networks("multicast", false, "224.0.0.0/4", "ff00::/8")...)
	out = append(out, networks("reserved", false, "240.0.0.0/4", "::/96", "fec0::/10", "100::/64", "5f00::/16")...)
	// These carry an IPv4 address that a router on the way would unpack.
	return append(out, networks("a translated IPv4 address", false, "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/23")...)
}

// private are the ranges that only a neighbour should reach.
func private() []network {
	var out []network
	out = append(out, networks("private", false, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")...)
	out = append(out, networks("shared by a provider's customers", false, "100.64.0.0/10")...)
	return append(out, networks("reserved", false, "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "2001:db8::/32", "3fff::/20")...)
}

// refusal is the reason why an address is not called.
type refusal struct{ what string }

func (r refusal) Error() string {
	return fmt.Sprintf("the receiver's address is %s, which is not allowed", r.what)
}

// policy says which addresses may be called.
type policy struct {
	refused []network
	allowed []netip.Prefix
}

// check returns a refusal if a must not be called.
func (p policy) check(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	for _, n := range p.refused {
		if n.prefix.Contains(a) && !p.opens(n, a) {
			return refusal{n.what}
		}
	}
	for _, inner := range embedded(a) {
		if err := p.check(inner); err != nil {
			return err
		}
	}
	return nil
}

// embedded returns the IPv4 addresses that an IPv6 address carries, to which a router on the way may pass on what is sent to it:
// those of NAT64 (RFC 6052, 8215), 6to4, Teredo (server and client) and ISATAP. Whoever allows the range of a translator does
// not mean what hides behind it.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	v4 := func(w, x, y, z byte) netip.Addr { return netip.AddrFrom4([4]byte{w, x, y, z}) }
	last := v4(b[12], b[13], b[14], b[15])
	within := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(a) }
	var out []netip.Addr
	switch {
	case within("64:ff9b::/96"):
		out = []netip.Addr{last}
	case within("64:ff9b:1::/48"): // each network chooses how long its prefix is: 48, 56, 64 or 96 bits
		out = []netip.Addr{v4(b[6], b[7], b[9], b[10]), v4(b[7], b[9], b[10], b[11]), v4(b[9], b[10], b[11], b[12]), last}
	case within("2002::/16"):
		out = []netip.Addr{v4(b[2], b[3], b[4], b[5])}
	case within("2001::/32"):
		out = []netip.Addr{v4(b[4], b[5], b[6], b[7]), v4(^b[12], ^b[13], ^b[14], ^b[15])}
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe:
		out = []netip.Addr{last}
	}
	return slices.DeleteFunc(out, func(a netip.Addr) bool { return a.As4()[0] == 0 }) // the padding of another length
}

func (p policy) opens(n network, a netip.Addr) bool {
	for _, allowed := range p.allowed {
		if allowed.Contains(a) && (!n.narrow || allowed.Bits() >= n.prefix.Bits()) {
			return true
		}
	}
	return false
}
