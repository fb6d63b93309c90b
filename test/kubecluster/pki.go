package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is a certificate authority whose certificate and key lie in two files.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// identity is a client certificate that gets a kubeconfig of its own.
type identity struct {
	file string // kubeconfig's file name
	cn   string // user name
	org  string // group; empty: none
}

func identities() []identity {
	return []identity{
		{"kubeconfig", "kubernetes-admin", "system:masters"},
		{"controller-manager.kubeconfig", "system:kube-controller-manager", ""},
		{"scheduler.kubeconfig", "system:kube-scheduler", ""},
		{"nobody.kubeconfig", "nobody", ""}, // authenticated without any right: for tests of RBAC
	}
}

// writeIdentity fills dir with all the certificates, keys and kubeconfigs of one control plane that listens on
// 127.0.0.1:port. The authorities and the service account key are made once and kept, so that tokens and saved
// kubeconfigs stay good when the control plane is booted again.
func writeIdentity(dir, name string, port int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	root, err := loadOrCreateAuthority(dir, "ca", "kubecluster-"+name)
	if err != nil {
		return err
	}
	front, err := loadOrCreateAuthority(dir, "front-proxy-ca", "front-proxy-"+name)
	if err != nil {
		return err
	}
	if _, err := loadOrCreateKey(filepath.Join(dir, "sa.key")); err != nil {
		return err
	}
	if err := front.issueFiles(dir, "front-proxy-client", "front-proxy-client", ""); err != nil {
		return err
	}
	if err := root.issueFiles(dir, "apiserver", "kube-apiserver", "", "127.0.0.1", "10.96.0.1", "localhost",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"); err != nil {
		return err
	}
	server := fmt.Sprintf("https://127.0.0.1:%d", port)
	for _, id := range identities() {
		cert, key, err := root.issue(id.cn, id.org)
		if err != nil {
			return err
		}
		if err := writeSecret(filepath.Join(dir, id.file), kubeconfig(name, server, root.cert.Raw, cert, key)); err != nil {
			return err
		}
	}
	return nil
}

func loadOrCreateAuthority(dir, file, cn string) (*authority, error) {
	key, err := loadOrCreateKey(filepath.Join(dir, file+".key"))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, file+".crt")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = selfSigned(path, cn, key)
	}
	if err != nil {
		return nil, fmt.Errorf("read authority %s: %w", path, err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("read authority %s: no PEM block", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse authority %s: %w", path, err)
	}
	return &authority{cert, key}, nil
}

func selfSigned(path, cn string, key *ecdsa.PrivateKey) ([]byte, error) {
	t, err := template(cn, "")
	if err != nil {
		return nil, err
	}
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", cn, err)
	}
	b := pemOf("CERTIFICATE", der)
	return b, writeSecret(path, b)
}

func loadOrCreateKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		block, _ := pem.Decode(b)
		if block == nil {
			return nil, fmt.Errorf("read key %s: no PEM block", path)
		}
		key, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse key %s: %w", path, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return key, writeSecret(path, pemOf("EC PRIVATE KEY", der))
}

// issue makes a client certificate for the user cn in the group org; sans (addresses or names) make it a server
// certificate as well.
func (a *authority) issue(cn, org string, sans ...string) (certPEM, keyPEM []byte, err error) {
	t, err := template(cn, org)
	if err != nil {
		return nil, nil, err
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, s := range sans {
		if ip := net.ParseIP(s); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, s)
		}
	}
	if len(sans) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key of %s: %w", cn, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign %s: %w", cn, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode key of %s: %w", cn, err)
	}
	return pemOf("CERTIFICATE", der), pemOf("EC PRIVATE KEY", keyDER), nil
}

// issueFiles issues into dir/file.crt and dir/file.key.
func (a *authority) issueFiles(dir, file, cn, org string, sans ...string) error {
	cert, key, err := a.issue(cn, org, sans...)
	if err != nil {
		return err
	}
	if err := writeSecret(filepath.Join(dir, file+".crt"), cert); err != nil {
		return err
	}
	return writeSecret(filepath.Join(dir, file+".key"), key)
}

func template(cn, org string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: cn},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
	if org != "" {
		t.Subject.Organization = []string{org}
	}
	return t, nil
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func writeSecret(path string, b []byte) error {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func kubeconfig(name, server string, caDER, cert, key []byte) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster: {server: %[2]q, certificate-authority-data: %[3]s}
users:
- name: %[1]s
  user: {client-certificate-data: %[4]s, client-key-data: %[5]s}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s}
current-context: %[1]s
`, name, server, b64(pemOf("CERTIFICATE", caDER)), b64(cert), b64(key))
}
